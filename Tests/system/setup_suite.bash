# Brings the cluster up for all files of tests, and down again if it was not up before.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/helpers.bash"

setup_suite() {
    export SPUNNEL_WAS_UP=no
    [[ ! -e $STATE/cluster ]] || SPUNNEL_WAS_UP=yes
    "$CLUSTER/up" --prefix "$PREFIX" 3>&-
    # Where every user of every host can read them.
    mkdir -p "$STATE/home/tools"
    install -m 755 "$TESTS"/{service,client,web}.py "$STATE/home/tools/"
}

teardown_suite() {
    [[ $SPUNNEL_WAS_UP == yes ]] || "$CLUSTER/down" 3>&-
}
