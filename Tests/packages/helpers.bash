# What the tests of building, installing and packaging share.
# shellcheck shell=bash
# shellcheck disable=SC2034 # some variables are for the tests

REPOSITORY=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
RELEASE=$REPOSITORY/.build/release
OUT=$REPOSITORY/build
# The PATH that sudo gives: without Swift, and without what a user has added.
SUDO_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# make_as_root TARGET...: make in the repository, as an administrator calls it by sudo.
make_as_root() { env -i PATH="$SUDO_PATH" HOME=/root make --silent -C "$REPOSITORY" "$@"; }

# holds TEXT, lacks TEXT: is it in the output of `run`?
holds() {
    # shellcheck disable=SC2154 # set by run
    [[ $output == *"$1"* ]] || {
        echo "'$1' is not in: $output"
        return 1
    }
}

lacks() {
    [[ $output != *"$1"* ]] || {
        echo "'$1' is in: $output"
        return 1
    }
}
