# Brings the cluster up for all files of tests, and down again if it was not up before.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/helpers.bash"

setup_suite() {
    local options=(--prefix "$PREFIX")
    export SPUNNEL_WAS_UP=no
    if [[ -e $STATE/cluster ]]; then
        SPUNNEL_WAS_UP=yes
        # One that was made with policies keeps them: all tests hold there as well, or say why not.
        options+=(--policy "$POLICY")
    fi
    "$CLUSTER/up" "${options[@]}" 3>&-
    # Where every user of every host can read them.
    mkdir -p "$STATE/home/tools"
    install -m 755 "$TESTS"/{service,client,web,bad_input,hostile}.py "$STATE/home/tools/"
}

teardown_suite() {
    [[ $SPUNNEL_WAS_UP == yes ]] || "$CLUSTER/down" 3>&-
}
