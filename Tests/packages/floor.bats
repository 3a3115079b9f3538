#!/usr/bin/env bats
# Which C library and which other libraries each binary asks for; needs what `make` built.

load helpers

# needs FILE: the libraries that it names.
needs() { readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'; }

# newest FILE: the newest version of the C library's functions that it asks for.
newest() {
    readelf --dyn-syms --wide "$1" | awk '$7 == "UND"' | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' |
        sort --version-sort | tail -n 1
}

# runs_from VERSION FILE: does it ask for no function that is younger than the version?
runs_from() {
    local newest unbound
    newest=$(newest "$2")
    # A static program asks for none.
    [[ -n $newest ]] || return 0
    printf '%s\n' "$newest" "$1" | sort --version-sort --check=quiet || {
        echo "$2 asks for version $newest of the C library:"
        readelf --dyn-syms --wide "$2" | grep -F "GLIBC_$newest"
        return 1
    }
    # The linker binds a function that it finds nowhere without a version. Slurm's own have none.
    unbound=$(readelf --dyn-syms --wide "$2" |
        awk '$7 == "UND" && $5 == "GLOBAL" && $8 !~ /@/ && $8 !~ /^(slurm|spank)_/')
    [[ $unbound == '' ]] || {
        echo "$2 asks for functions without a version: $unbound"
        return 1
    }
}

setup_file() {
    export ROOT=$BATS_FILE_TMPDIR/root
    make_as_root install-core PREFIX=/opt/spunnel DESTDIR="$ROOT"
}

# binaries: the installed files that are ELF files, those for Slurm left out.
binaries() { find "$ROOT" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' file {} \; -print; }

@test "what belongs to no release of Slurm runs from version 2.28 of the C library on" {
    binaries >"$BATS_TEST_TMPDIR/binaries"
    grep -q libSpunnel.so "$BATS_TEST_TMPDIR/binaries"
    while read -r file; do runs_from 2.28 "$file"; done <"$BATS_TEST_TMPDIR/binaries"
}

@test "what is compiled against Slurm runs from version 2.34 of the C library on" {
    runs_from 2.34 "$OUT/spunnel.so"
    runs_from 2.34 "$OUT/spunnel-jobs"
}

@test "the keeper needs no library at all" {
    [[ -z $(needs "$RELEASE/spunnel-keeper") ]]
}

@test "nothing needs a library of Swift's or of C++'s, and spunnel-jobs alone needs Slurm's" {
    { binaries; echo "$OUT/spunnel.so"; echo "$OUT/spunnel-jobs"; } >"$BATS_TEST_TMPDIR/binaries"
    while read -r file; do
        others=$(needs "$file" | grep -vE '^(libc|libm|libgcc_s|libpthread|libdl|ld-linux-.*)\.so\.[0-9]+$' || true)
        if [[ $file == */spunnel-jobs ]]; then
            [[ $others == libslurm.so.* ]]
        else
            [[ -z $others ]] || { echo "$file: $others"; return 1; }
        fi
    done <"$BATS_TEST_TMPDIR/binaries"
}
