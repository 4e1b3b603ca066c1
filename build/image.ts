import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Architecture } from "./toolchain.ts"

export interface Image {
  readonly version: string
  readonly architecture: Architecture
  /** The directory that becomes the root of containers; belongs to root, whoever it belongs to here. */
  readonly root: string
  /** Packs `directory` into `archive` in a way that gives the same bytes everywhere. */
  readonly pack: (archive: string, directory: string) => void
}

/** The name that the image has when it has been loaded. Its host is nobody's, so that no runtime asks a registry for it. */
export const imageName = (version: string) => `localhost/cni-ts:${version}`

/** Makes the image in `scratch`, and packs it into the file `archive`: an OCI image layout, and a manifest for older `docker load`. */
export function makeImage({ version, architecture, root, pack }: Image, scratch: string, archive: string): void {
  const layout = join(scratch, `${architecture}-image`)
  const blobs = join(layout, "blobs/sha256")
  mkdirSync(blobs, { recursive: true })
  pack(join(scratch, "layer"), root)
  const layer = addBlob(blobs, readFileSync(join(scratch, "layer")))
  const config = addJson(blobs, {
    architecture,
    os: "linux",
    config: { Entrypoint: ["/bin/cni-ts"], Cmd: ["install", "/opt/cni/bin"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  })
  const media = (what: string) => `application/vnd.oci.image.${what}`
  const manifest = addJson(blobs, {
    schemaVersion: 2,
    mediaType: media("manifest.v1+json"),
    config: { mediaType: media("config.v1+json"), ...config },
    layers: [{ mediaType: media("layer.v1.tar"), ...layer }],
  })
  const annotations = {
    "io.containerd.image.name": imageName(version),
    "org.opencontainers.image.ref.name": version,
  }
  write(layout, "oci-layout", { imageLayoutVersion: "1.0.0" })
  write(layout, "index.json", {
    schemaVersion: 2,
    mediaType: media("index.v1+json"),
    manifests: [{ mediaType: media("manifest.v1+json"), ...manifest, annotations }],
  })
  const pathOf = ({ digest }: Blob) => `blobs/${digest.replace(":", "/")}`
  write(layout, "manifest.json", [{ Config: pathOf(config), RepoTags: [imageName(version)], Layers: [pathOf(layer)] }])
  pack(archive, layout)
}

interface Blob {
  readonly digest: string
  readonly size: number
}

/** Adds a file by the name of its digest. */
function addBlob(blobs: string, content: Buffer): Blob {
  const digest = createHash("sha256").update(content).digest("hex")
  writeFileSync(join(blobs, digest), content)
  return { digest: `sha256:${digest}`, size: content.length }
}

function addJson(blobs: string, value: object): Blob {
  return addBlob(blobs, Buffer.from(JSON.stringify(value)))
}

function write(layout: string, name: string, value: object): void {
  writeFileSync(join(layout, name), JSON.stringify(value))
}
