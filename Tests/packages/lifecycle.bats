#!/usr/bin/env bats
# The packages on real hosts: installed, upgraded, rolled back and removed by dpkg, with tunnels open and
# with srun after srun meanwhile. The commands are those of docs/admin.md.
#
# /usr and dpkg's database of each host are overlays: the machine's own stay as they are.

load ../system/helpers

REPOSITORY=${TESTS%/*/*}
PACKAGES=$STATE/home/packages
HOSTS=(login n1 n2)

# block NAME: the commands of docs/admin.md that are marked with this name.
block() {
    sed -n "/^<!-- run: $1 -->\$/,/^\`\`\`\$/p" "$REPOSITORY/docs/admin.md" | sed '/^<!--/d; /^```/d'
}

# on_all NAME FOLDER: runs a block on all hosts as root, in a folder of packages.
on_all() {
    local host
    for host in "${HOSTS[@]}"; do
        timeout 120 "$CLUSTER/in" "$host" root -- bash -ec "cd /home/packages/$2; $(block "$1")" 3>&- 4>&- || {
            echo "'$1' failed on $host"
            return 1
        }
    done
}

# package VERSION: both packages under another version, with a file that names it.
package() {
    local name tree
    mkdir -p "$PACKAGES/$1"
    for name in spunnel spunnel-slurm; do
        tree=$BATS_FILE_TMPDIR/$name-$1
        dpkg-deb -R "$DEBS"/"$name"_[0-9]*.deb "$tree"
        sed -i "s/^Version: .*/Version: $1/; s/spunnel (>= [^)]*), spunnel (<< [^)]*)/spunnel (= $1)/" "$tree/DEBIAN/control"
        echo "$1" >"$tree/usr/share/doc/$name/this-version"
        dpkg-deb --root-owner-group -Zgzip -z1 -b "$tree" "$PACKAGES/$1" >/dev/null
    done
}

setup_file() {
    local host folder
    "$CLUSTER/down" 3>&-
    "$CLUSTER/up" --prefix "$PREFIX" 3>&-
    mkdir -p "$STATE/home/tools" "$PACKAGES"
    install -m 755 "$TESTS"/{service,client}.py "$STATE/home/tools/"
    DEBS=${SPUNNEL_DEBS:-$BATS_FILE_TMPDIR/debs}
    [[ -d $DEBS ]] || BUILD=binary PREBUILT=$REPOSITORY/.build/release nice "$REPOSITORY/Packaging/deb" "$DEBS" 3>&-
    package 0.1.0
    package 0.1.1
    for host in "${HOSTS[@]}"; do
        for folder in /usr /var/lib/dpkg /var/lib/man-db /var/cache; do
            as_root "$host" bash -ec "mkdir -p /run/over$folder/{upper,work}
                mount -t overlay over -o lowerdir=$folder,upperdir=/run/over$folder/upper,workdir=/run/over$folder/work $folder"
        done
        # dpkg looks up the owners of these files, and /etc may know fewer than the machine has by now.
        # The index of all manuals is of no interest here and takes long.
        as_root "$host" bash -c ': >/var/lib/dpkg/statoverride; rm -f /var/lib/man-db/auto-update'
    done
    # As Debian's Slurm has it.
    "$CLUSTER/plugstack" 'include /etc/slurm/plugstack.conf.d/*.conf'
    mkdir -p "$STATE/slurm/plugstack.conf.d"
}

teardown_file() {
    "$CLUSTER/down" 3>&-
}

as_root() { timeout 60 "$CLUSTER/in" "$1" root -- "${@:2}" 3>&- 4>&-; }

setup() { :; }

teardown() {
    touch "$STATE/home/tools/stop"
    clean_up
    rm -f "$STATE/home/tools/stop"
}

# load_cluster: three open tunnels with a connection each, and srun after srun, of which none may say a word.
load_cluster() {
    local number
    for number in 1 2 3; do
        serve "service$number" user1 --tunnel "800$number:900$number" -- "900$number"
        start "pulse$number" user1 /home/tools/client.py "800$number" pulse
        eventually says "pulse$number" back
    done
    start runs user2 bash -c 'until [[ -e /home/tools/stop ]]; do
        srun true || echo "srun failed"; echo >>rounds; done'
    start tunnels user2 bash -c 'until [[ -e /home/tools/stop ]]; do
        srun --help 2>&1 | grep -q -e --tunnel || break
        srun -Q --tunnel :7000 true || ! srun --help 2>&1 | grep -q -e --tunnel || echo "srun --tunnel failed"; done'
}

# pulses NUMBER: does its connection go on from now?
pulses() {
    local before
    before=$(output "pulse$1" | wc -l)
    eventually more "pulse$1" "$before"
}

more() { (($(output "$1" | wc -l) > $2)); }

rounds() { wc -l <"$STATE/home/user2/rounds"; }

# went_well: all connections live on, and no srun said anything.
went_well() {
    local number before
    for number in 1 2 3; do
        goes_on "service$number"
        goes_on "pulse$number"
        pulses "$number"
    done
    before=$(rounds)
    eventually rounds_beyond "$before"
    same "" "$(output runs | grep -vE 'queued and waiting for resources|has been allocated resources')"
    # A line that a tunnel is open is none of an error.
    run output tunnels
    lacks "failed"
    lacks "error"
}

rounds_beyond() { (($(rounds) > $1)); }

# inodes: which files the packages' are, on the login host.
inodes() {
    as_root login stat -c '%i' /usr/lib/spunnel/libSpunnel.so /usr/lib/spunnel/spunnel.so \
        /usr/libexec/spunnel/spunnel-keeper /usr/bin/spunnelctl
}

version_on() { as_root "$1" cat "/usr/share/doc/spunnel-slurm/this-version"; }

@test "from dpkg -i to a tunnel in the two commands of docs/admin.md" {
    run as user1 srun --tunnel 8001:8000 true
    [[ $status != 0 ]]
    on_all install 0.1.0
    run as user1 bash -ec "$(block first-tunnel)"
    echo "$output"
    [[ $status == 0 ]]
    holds "spunnel: localhost:8001 -> "
    # The check of the page: all is of one release.
    run as user1 env PATH=/usr/bin:/bin bash -ec "$(block check)"
    echo "$output"
    [[ $status == 0 ]]
    holds "built for Slurm "
    holds " runs here"
    # And the command, with its manuals, at their usual places.
    as_root login env PATH=/usr/bin:/bin bash -ec 'command -v spunnelctl | grep -x /usr/bin/spunnelctl; test -e /usr/share/man/man1/spunnelctl.1.gz'
}

@test "upgraded and rolled back under load: tunnels live on, no srun says a word, files are replaced whole" {
    load_cluster
    before=$(inodes)
    on_all upgrade 0.1.1
    went_well
    [[ $before != "$(inodes)" ]]
    same 0.1.1 "$(version_on n2)"
    # The parts of the new version work.
    run as user1 srun --tunnel 8010:8000 true
    [[ $status == 0 ]]
    holds "spunnel: localhost:8010 -> "

    # The line stays as the site wrote it.
    echo 'optional spunnel.so timeout=60' >"$STATE/slurm/plugstack.conf.d/spunnel.conf"
    on_all upgrade 0.1.0
    went_well
    same 0.1.0 "$(version_on login)"
    same 'optional spunnel.so timeout=60' "$(<"$STATE/slurm/plugstack.conf.d/spunnel.conf")"
}

@test "a plugin for another release of Slurm is refused by dpkg, and no srun says a word" {
    local tree=$BATS_TEST_TMPDIR/other
    dpkg-deb -R "$PACKAGES"/0.1.1/spunnel-slurm_0.1.1_*.deb "$tree"
    sed -i -E 's/slurm-wlm-basic-plugins \(>= [0-9.]+\), slurm-wlm-basic-plugins \(<< [^)]*\)/slurm-wlm-basic-plugins (>= 24.11), slurm-wlm-basic-plugins (<< 24.12~)/' \
        "$tree/DEBIAN/control"
    echo 'not a plugin' >"$tree/usr/lib/spunnel/spunnel.so"
    dpkg-deb -Zgzip -z1 -b "$tree" "$PACKAGES/other.deb" >/dev/null
    run as_root login dpkg -i /home/packages/other.deb
    echo "$output"
    [[ $status != 0 ]]
    holds "slurm-wlm-basic-plugins"
    same "" "$(as user1 srun true 2>&1)"
    same 0.1.0 "$(version_on login)"
}

@test "removed under load: tunnels live on, no srun says a word, and the site's line is back afterwards" {
    load_cluster
    on_all remove 0.1.0
    went_well
    as_root login bash -ec '! test -e /usr/lib/spunnel && ! test -e /usr/bin/spunnelctl'
    [[ ! -e $STATE/slurm/plugstack.conf.d/spunnel.conf ]]
    on_all install 0.1.1
    same 'optional spunnel.so timeout=60' "$(<"$STATE/slurm/plugstack.conf.d/spunnel.conf")"
    went_well
    as_root login dpkg --purge spunnel-slurm spunnel
    [[ ! -e $STATE/slurm/plugstack.conf.d/spunnel.conf && ! -e $STATE/slurm/plugstack.conf.d/spunnel.conf.removed ]]
}
