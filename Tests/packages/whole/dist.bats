#!/usr/bin/env bats
# A release's files: two runs in two folders give the same bytes, and the source builds without git.

load ../helpers

@test "two releases of one source, built in two folders, have the same bytes" {
    for number in 1 22; do
        "$REPOSITORY/Packaging/copy" "$BATS_TEST_TMPDIR/folder$number/source"
        git -C "$REPOSITORY" log -1 --format='%h %ct' --abbrev=12 >"$BATS_TEST_TMPDIR/folder$number/source/COMMIT"
        TMPDIR=$BATS_TEST_TMPDIR "$BATS_TEST_TMPDIR/folder$number/source/Packaging/dist" "$BATS_TEST_TMPDIR/dist$number"
    done
    diff "$BATS_TEST_TMPDIR/dist1/SHA256SUMS" "$BATS_TEST_TMPDIR/dist22/SHA256SUMS"
    cd "$BATS_TEST_TMPDIR/dist1"
    sha256sum --check SHA256SUMS
}
