#!/usr/bin/env bats
# A release's files, with Swift's products as `make` built them.

load helpers

setup_file() {
    export DIST=$BATS_FILE_TMPDIR/dist
    PREBUILT=$RELEASE "$REPOSITORY/Packaging/dist" "$DIST"
}

@test "the files of a release have the right checksums, and a second run gives the same bytes" {
    cd "$DIST"
    sha256sum --check SHA256SUMS
    PREBUILT=$RELEASE "$REPOSITORY/Packaging/dist" "$BATS_TEST_TMPDIR/again"
    diff SHA256SUMS "$BATS_TEST_TMPDIR/again/SHA256SUMS"
}

@test "a site without Swift builds and installs from the release's two tarballs" {
    cd "$BATS_TEST_TMPDIR"
    for file in "$DIST"/*.tar.gz; do tar xf "$file"; done
    cd "spunnel-$("$REPOSITORY/Packaging/version")"
    [[ -s COMMIT && -e LICENSE ]]
    swift=$(echo ../spunnel-*-swift-*)
    run env -i PATH="$SUDO_PATH" HOME=/root bash -ec "make all SLURM= PREBUILT=$swift && make install PREBUILT=$swift \
        PREFIX=/opt/spunnel DESTDIR=$BATS_TEST_TMPDIR/root"
    echo "$output"
    [[ $status == 0 ]]
    run "$BATS_TEST_TMPDIR/root/opt/spunnel/bin/spunnelctl" --version
    holds "spunnel $("$REPOSITORY/Packaging/version") (commit "
    holds "built for Slurm "
}

@test "no path of the machine is in what is released" {
    cd "$BATS_TEST_TMPDIR"
    tar xf "$DIST"/*swift*.tar.gz
    run grep -rlF "$REPOSITORY" .
    [[ $output == '' ]]
}
