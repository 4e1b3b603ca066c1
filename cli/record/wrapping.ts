import { isObject } from "../../lib/cni/json.ts"
import {
  type Descriptor,
  linkFile,
  listDirectory,
  makeDirectories,
  openFile,
  openRead,
  readEnd,
  readRegular,
  removeFile,
  renameFile,
  syncDirectory,
  unlessMissing,
  writeAll,
  writeNew,
} from "../../lib/sys/file.ts"
import { fileStatus, linkStatus, S_IFREG, sameFile } from "../../lib/sys/file-status.ts"
import { host } from "../../lib/sys/host.ts"
import { lock } from "../../lib/sys/lock.ts"
import { O_APPEND, O_WRONLY } from "../../lib/sys/open-flags.ts"
import { executablePath, writeStdout } from "../../lib/sys/process.ts"
import { checked, failedWith, SystemError } from "../../lib/sys/system-error.ts"
import { Unusable } from "../command.ts"
import { copyFile } from "../copy.ts"
import { documentIn } from "../document.ts"
import { removeTree } from "../install/tree.ts"

/** A recording: its directory, and if that gets other words. */
export interface Recording {
  /** The directory that was asked for. */
  readonly directory: string
  /** True if it gets the calls with other words in place of names and addresses, in the end. */
  readonly anonymous: boolean
}

/** Returns the directory that calls are written to, while they are recorded. */
export function rawDirectory({ directory, anonymous }: Recording): string {
  return anonymous ? `${directory}/.raw` : directory
}

/** The last bytes of a copy of this executable that bears a plugin's name. */
const RECORDER = "\ncni-ts recorder"

/** The name that an original has meanwhile, with that of its plugin. */
const ORIGINAL = /^\.(.+)\.cni-ts-original$/

/** Returns the name that the original of a plugin has while a recorder has its own. */
export function originalName(name: string): string {
  return `.${name}.cni-ts-original`
}

const ownFiles = (plugins: string) => `${plugins}/.cni-ts-recording`
const settingsFile = (plugins: string) => `${ownFiles(plugins)}/settings`

/**
 * Puts a recorder under the name of each plugin of the directory. Calls are recorded as long as what this returns is open: the kernel closes it
 * if this process is killed. Throws Unusable if they are being recorded already, SystemError; then every plugin has its name.
 */
export function beginRecording(plugins: string, recording: Recording): Disposable {
  using directory = lockedDirectory(plugins)
  if (isUnderWay(plugins, 1000)) throw new Unusable(`calls of ${plugins} are being recorded already`)
  putBack(plugins)
  const names = listDirectory(plugins).filter((name) => isPlugin(plugins, name))
  if (names.length === 0) throw new Unusable(`there is no plugin in ${plugins}`)
  try {
    makeDirectories(ownFiles(plugins), 0o700)
    writeNew(settingsFile(plugins), JSON.stringify(recording), { synced: true })
    const held = openRead(settingsFile(plugins))
    lock(held.fd, settingsFile(plugins))
    for (const name of names) wrap(plugins, name, directory)
    return held
  } catch (error) {
    putBack(plugins)
    throw error
  }
}

/** Gives every plugin its name back. Returns what was being recorded; undefined if nothing was. */
export function endRecording(plugins: string): Recording | undefined {
  using _directory = lockedDirectory(plugins)
  const recording = readSettings(plugins)
  putBack(plugins)
  return recording
}

/** Returns the recording that calls of the directory's plugins belong to; undefined if nobody records any more. */
export function currentRecording(plugins: string): Recording | undefined {
  return isUnderWay(plugins) ? readSettings(plugins) : undefined
}

/** Returns true as long as the process that began a recording lives and has not ended it. A call that looks for it may seem to be it for a moment. */
export function isUnderWay(plugins: string, patience = 0): boolean {
  const settings = unlessMissing(() => openRead(settingsFile(plugins)))
  if (!settings) return false
  using _open = settings
  return host.lock(settings.fd, patience) < 0
}

/** Waits until no other recorder or installer is at work in the directory. */
function lockedDirectory(path: string): Descriptor {
  const directory = openRead(path)
  lock(directory.fd, path)
  return directory
}

function readSettings(plugins: string): Recording | undefined {
  const text = unlessMissing(() => readRegular(settingsFile(plugins), 1 << 16))
  const settings = documentIn(text ?? "")
  if (settings === undefined || !isObject(settings)) return undefined
  const { directory, anonymous } = settings
  return typeof directory === "string" ? { directory, anonymous: anonymous === true } : undefined
}

/** Returns true for what runtimes could start under that name; this program itself is no plugin. */
function isPlugin(directory: string, name: string): boolean {
  const status = unlessMissing(() => fileStatus(`${directory}/${name}`))
  const executable = status?.type === S_IFREG && (status.permissions & 0o111) !== 0
  return executable && !name.startsWith(".") && name !== "cni-ts"
}

/**
 * Gives the plugin's name to a recorder. A call finds the plugin at each moment: first it has two names, and only when the disk knows both
 * the recorder takes one of them. Each recorder is a file of its own: who writes into one changes that plugin alone.
 */
function wrap(plugins: string, name: string, directory: Descriptor): void {
  const [path, next] = [`${plugins}/${name}`, `${ownFiles(plugins)}/next`]
  removeFile(next)
  copyFile(executablePath(), next, 0o755)
  {
    using file = openFile(next, O_WRONLY | O_APPEND)
    writeAll(file.fd, host.encode(RECORDER), next)
    checked(`write ${next}`, host.sync(file.fd))
  }
  linkFile(path, `${plugins}/${originalName(name)}`)
  checked(`write ${plugins}`, host.sync(directory.fd))
  renameFile(next, path)
}

/** Gives every plugin its name back, in a directory that the caller has locked. */
export function putBack(plugins: string): void {
  const names = listDirectory(plugins).flatMap((name) => ORIGINAL.exec(name)?.[1] ?? [])
  for (const name of names.sort()) unwrap(plugins, name)
  if (names.length > 0) syncDirectory(plugins)
  if (unlessMissing(() => linkStatus(ownFiles(plugins)))) removeTree(ownFiles(plugins))
}

/** Has the original bear its name again, unless somebody has put another plugin there meanwhile. */
function unwrap(plugins: string, name: string): void {
  const [path, original] = [`${plugins}/${name}`, `${plugins}/${originalName(name)}`]
  const [now, before] = [path, original].map((each) => unlessMissing(() => linkStatus(each)))
  const untouched = now && before && sameFile(now, before)
  if (!untouched && (!now || isRecorderNamed(path))) {
    renameFile(original, path)
    return
  }
  removeFile(original)
  if (!untouched) writeStdout(`${path}: somebody else's since\n`)
}

/** Says if a recorder of any version bears the name. */
function isRecorderNamed(path: string): boolean {
  try {
    return linkStatus(path).type === S_IFREG && isRecorder(path)
  } catch (error) {
    if (error instanceof SystemError && failedWith(error, "ENOENT")) return false
    throw error
  }
}

/** Says if the file is a recorder of any version. Throws SystemError. */
export function isRecorder(path: string): boolean {
  return readEnd(path, RECORDER.length) === RECORDER
}
