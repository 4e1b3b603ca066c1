# What the scripts beside this share; read by them, not executed.
# shellcheck shell=sh

fail() { echo "kind: $*" >&2; exit 1; }
say() { echo "kind: $*"; }

# The program that runs the nodes' containers, chosen as kind chooses it.
find_provider() {
  provider=${KIND_EXPERIMENTAL_PROVIDER-}
  if [ -z "$provider" ]; then
    for provider in docker nerdctl podman; do
      ! command -v "$provider" >/dev/null || return 0
    done
  fi
  command -v "$provider" >/dev/null || fail "needs docker, nerdctl or podman"
}

# Sets $cluster from the script's only argument.
read_cluster() {
  [ $# -le 1 ] || fail "one argument at most: the cluster's name"
  case ${1-} in -*) fail "one argument at most: the cluster's name" ;; esac
  cluster=${1:-kind}
}

cluster_nodes() {
  nodes=$(kind get nodes --name "$cluster") || fail "kind cannot list the nodes of cluster $cluster"
  nodes=$(echo "$nodes" | grep -v -e "-external-load-balancer\$" || true) # not a node of Kubernetes
  [ -n "$nodes" ] || fail "there is no cluster $cluster"
}

# Runs sh -c SCRIPT on a node: on_node NODE SCRIPT [ARGUMENT...]. Its stdin is the caller's.
on_node() {
  node=$1
  shift
  "$provider" exec -i "$node" sh -euc "$@"
}

# install_on NODE SOURCES: copies the executables and the installer to the node, as one archive, which keeps the hard links; then installs them.
install_on() {
  say "installing cni-ts on $1"
  tar -C "$2" -cf - dist/bin scripts/install | on_node "$1" \
    'rm -rf /opt/cni-ts && mkdir -p /opt/cni-ts && tar -C /opt/cni-ts -xf - && /opt/cni-ts/scripts/install /opt/cni/bin && rm -rf /opt/cni-ts/dist'
}
