#!/usr/bin/env bats
# The Debian packages as a whole: lintian, manuals, and spunnel-slurm built alone without Swift.

load ../helpers

setup_file() {
    export DEBS=$BATS_FILE_TMPDIR/debs
    PREBUILT=${PREBUILT:-$REPOSITORY/.build/release} "$REPOSITORY/Packaging/deb" "$DEBS"
}

@test "lintian is silent" {
    run lintian --fail-on error,warning "$DEBS"/*.changes
    echo "$output"
    [[ $status == 0 ]]
    lacks "I: "
}

@test "man's linter is silent about each manual" {
    for manual in "$REPOSITORY"/docs/man/*.[1-8]; do
        run env LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$manual"
        [[ $status == 0 ]]
        problems=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$manual" 2>&1 >/dev/null)
        [[ -z $problems ]] || { echo "$problems"; return 1; }
    done
}

@test "the packages' version is that of the product" {
    version=$("$REPOSITORY/Packaging/version")
    [[ $(dpkg-deb -f "$DEBS"/spunnel_*.deb Version) == "$version" ]]
    grep -qx "## $version" "$REPOSITORY/NEWS.md"
}

@test "spunnel-slurm is built alone, from the source package, without Swift" {
    cd "$BATS_TEST_TMPDIR"
    dpkg-source --no-check -x "$DEBS"/spunnel_*.dsc source >/dev/null
    cd source
    run env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEB_BUILD_PROFILES=pkg.spunnel.slurm-only \
        dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes --no-check-builddeps
    [[ $status == 0 ]]
    [[ $(cd .. && echo *.deb) == spunnel-slurm_*.deb ]]
    [[ $(dpkg-deb -f ../spunnel-slurm_*.deb Depends) == *"spunnel (>= $("$REPOSITORY/Packaging/version"))"* ]]
}

@test "rpm-slurm is built alone, without Swift" {
    run env PATH=/usr/sbin:/usr/bin:/sbin:/bin SLURM_ONLY=yes "$REPOSITORY/Packaging/rpm" "$BATS_TEST_TMPDIR/rpms"
    [[ $status == 0 ]]
    [[ $(cd "$BATS_TEST_TMPDIR/rpms" && echo *.rpm) == spunnel-slurm-*.rpm ]]
}
