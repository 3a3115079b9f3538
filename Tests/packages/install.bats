#!/usr/bin/env bats
# make install, make uninstall and make slurm, as an administrator calls them; needs what `make` built.

load helpers

setup() { ROOT=$BATS_TEST_TMPDIR/root; }

@test "make install needs no Swift, builds nothing, and installs whole files" {
    before=$(find "$OUT" "$RELEASE/" -maxdepth 1 -newermt '@0' -printf '%p %T@\n' | sort)
    run make_as_root --no-silent install PREFIX=/opt/spunnel DESTDIR="$ROOT"
    [[ $status == 0 ]]
    lacks "swift build"
    lacks "cc "
    [[ $before == "$(find "$OUT" "$RELEASE/" -maxdepth 1 -newermt '@0' -printf '%p %T@\n' | sort)" ]]
    for file in lib/spunnel/spunnel.so lib/spunnel/libSpunnel.so lib/spunnel/loopback.so bin/spunnelctl \
        libexec/spunnel/spunnel-keeper libexec/spunnel/spunnel-jobs libexec/spunnel/spunnel-sshd \
        share/doc/spunnel/LICENSE share/man/man1/spunnelctl.1; do
        [[ -f $ROOT/opt/spunnel/$file ]] || { echo "$file: not installed"; return 1; }
    done
    [[ -z $(find "$ROOT" -name '*.new') ]]
}

@test "make install says what to do when nothing was built" {
    run make_as_root install PREFIX=/opt/spunnel DESTDIR="$ROOT" PREBUILT="$BATS_TEST_TMPDIR"
    [[ $status != 0 ]]
    holds "libSpunnel.so: not built: run 'make' first, as yourself"
    [[ ! -e $ROOT ]]
}

@test "make uninstall leaves nothing that make install made, and all else" {
    make_as_root install PREFIX=/opt/spunnel DESTDIR="$ROOT"
    make_as_root uninstall PREFIX=/opt/spunnel DESTDIR="$ROOT"
    run find "$ROOT/opt" -mindepth 1
    [[ $output == '' ]]

    make_as_root install PREFIX=/usr DESTDIR="$ROOT"
    touch "$ROOT/usr/bin/other" "$ROOT/usr/share/doc/spunnel/docs/own.md"
    make_as_root uninstall PREFIX=/usr DESTDIR="$ROOT"
    run find "$ROOT/usr" -type f
    holds "$ROOT/usr/bin/other"
    holds "$ROOT/usr/share/doc/spunnel/docs/own.md"
    [[ ${#lines[@]} == 2 ]]
}

@test "make slurm and make install-slurm build and install without Swift" {
    mkdir "$BATS_TEST_TMPDIR/tree"
    cp -r "$REPOSITORY"/{Makefile,Packaging,Sources,exports.map} "$BATS_TEST_TMPDIR/tree"
    cd "$BATS_TEST_TMPDIR/tree"
    run env -i PATH="$SUDO_PATH" make slurm SLURM=
    [[ $status == 0 ]]
    run env -i PATH="$SUDO_PATH" make install-slurm PREFIX=/opt/spunnel DESTDIR="$ROOT"
    [[ $status == 0 ]]
    run find "$ROOT" -type f -printf '%P\n'
    [[ $(sort <<<"$output") == $'opt/spunnel/lib/spunnel/spunnel.so\nopt/spunnel/libexec/spunnel/spunnel-jobs' ]]
}

# A folder that looks like an installed Slurm: headers, and a library in the folder that is named.
fake_slurm() {
    mkdir -p "$BATS_TEST_TMPDIR/slurm/include" "$BATS_TEST_TMPDIR/slurm/$1"
    cp -r /usr/include/slurm "$BATS_TEST_TMPDIR/slurm/include/"
    ln -s "$(readlink -f "$(cc -print-file-name=libslurm.so)")" "$BATS_TEST_TMPDIR/slurm/$1/libslurm.so"
}

check_slurm() {
    run "$REPOSITORY/Packaging/check-slurm" "$1" "-I$1/include" "-L$1/lib" "-L$1/lib64" "-Wl,-rpath,$1/lib"
}

@test "make SLURM=DIR refuses a folder that is not there, is relative, or has no headers" {
    check_slurm /nosuch/slurm
    [[ $status != 0 ]]
    holds "use Slurm in '/nosuch/slurm': no such folder"
    check_slurm some/slurm
    [[ $status != 0 ]]
    holds "not an absolute path"
    check_slurm "$BATS_TEST_TMPDIR"
    [[ $status != 0 ]]
    holds "include/slurm/spank.h: not found"
    fake_slurm lib
    rm "$BATS_TEST_TMPDIR/slurm/lib/libslurm.so"
    check_slurm "$BATS_TEST_TMPDIR/slurm"
    [[ $status != 0 ]]
    holds "neither lib/libslurm.so nor lib64/libslurm.so is there"
}

@test "make SLURM=DIR refuses headers and a library of different releases" {
    fake_slurm lib
    sed -i 's/^#define SLURM_VERSION_NUMBER .*/#define SLURM_VERSION_NUMBER 0x180b00/' \
        "$BATS_TEST_TMPDIR/slurm/include/slurm/slurm_version.h"
    check_slurm "$BATS_TEST_TMPDIR/slurm"
    [[ $status != 0 ]]
    holds "its headers are of release 24.11, its library of release"
}

@test "make SLURM=DIR stops before it compiles, and does not fall back to the machine's Slurm" {
    mkdir "$BATS_TEST_TMPDIR/tree"
    cp -r "$REPOSITORY"/{Makefile,Packaging,Sources,exports.map} "$BATS_TEST_TMPDIR/tree"
    run make -C "$BATS_TEST_TMPDIR/tree" slurm SLURM=/nosuch/slurm
    [[ $status != 0 ]]
    holds "use Slurm in '/nosuch/slurm': no such folder"
    [[ ! -e $BATS_TEST_TMPDIR/tree/build/spunnel.so && ! -e $BATS_TEST_TMPDIR/tree/build/slurm.mk ]]
}

@test "make SLURM=DIR takes a library in lib64" {
    fake_slurm lib64
    run make -C "$REPOSITORY" --dry-run --always-make slurm SLURM="$BATS_TEST_TMPDIR/slurm"
    holds "-L$BATS_TEST_TMPDIR/slurm/lib64 -Wl,-rpath,$BATS_TEST_TMPDIR/slurm/lib64"
    check_slurm "$BATS_TEST_TMPDIR/slurm"
    [[ $status == 0 ]]
}
