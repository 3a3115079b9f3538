# The site policies of `up --policy`: what each one changes in the plain cluster. `up` sources this
# file.
# shellcheck shell=bash
#
# A policy is a set of functions named POLICY_HOOK. The hooks:
#   check       exits if this machine cannot have the policy
#   hosts       adds to HOSTS
#   addresses   runs before anything is made; changes ADDRESS
#   known       the known_hosts of all hosts is in $STATE/keys/ssh_known_hosts
#   slurm       slurm.conf is in $STATE/slurm
#   host HOST   the host's /etc is in $STATE/HOST/etc
#   home USER   the user's home is in $STATE/home/USER
#   booted HOST the host's daemons run
#   cable PID   the network of the host with this first process is up

POLICIES=(adopt hostbased traps nohome noforwarding permitopen oldkey changedkey ipv4 ipv6 logind logins)

policy_list() {
    cat <<LIST
  adopt         the nodes admit by ssh only users with a job there (pam_slurm_adopt)
  hostbased     host-based login, and no user has a key or a ~/.ssh
  traps         each ~/.ssh/config is full of what could break a tunnel
  nohome        the users' homes are on no host; login is host-based
  noforwarding  the nodes' sshd has AllowTcpForwarding no
  permitopen    the nodes' sshd has PermitOpen for localhost alone
  oldkey        known_hosts has old keys of the nodes beside the new ones
  changedkey    known_hosts has old keys of the nodes and no new ones
  ipv4          the hosts' kernels have no IPv6, not even ::1
  ipv6          the hosts have no IPv4 address but 127.0.0.1, Slurm's included
  logind        the login host's first process is systemd, and logind ends what a login leaves behind
  logins        there is a second login host, login2, without a daemon of Slurm's
LIST
}

# choose_policies NAMES: sets CHOSEN, without duplicates, in the order of POLICIES.
choose_policies() {
    local name wanted=,$1,
    # Without a home there is no authorized_keys, so the login must be host-based.
    [[ $wanted != *,nohome,* ]] || wanted+=hostbased,
    CHOSEN=()
    for name in "${POLICIES[@]}"; do
        [[ $wanted != *,$name,* ]] || CHOSEN+=("$name")
    done
    for name in ${1//,/ }; do
        [[ " ${POLICIES[*]} " == *" $name "* ]] || die "policy '$name': unknown, there are ${POLICIES[*]}"
    done
    [[ $wanted != *,ipv4,* || $wanted != *,ipv6,* ]] || die "policies ipv4 and ipv6: nothing would be left"
}

# policies HOOK [WORD]: runs the hook of each chosen policy that has it.
policies() {
    local name
    for name in "${CHOSEN[@]}"; do
        ! declare -F "${name}_$1" >/dev/null || "${name}_$1" "${@:2}"
    done
}

# sshd_adds POLICY HOST, ssh_adds POLICY HOST: add a piece of configuration to the host, from
# standard input.
sshd_adds() { cat >"$STATE/$2/etc/ssh/sshd_config.d/$1.conf"; }
ssh_adds() { cat >"$STATE/$2/etc/ssh/ssh_config.d/$1.conf"; }

# cannot TEXT: ends because this machine lacks what a policy needs. Status 77 means a skipped test.
cannot() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 77
}

# --- Who may log in ----------------------------------------------------------------------------

adopt_check() {
    # shellcheck disable=SC2154 # set by choose_tracking
    [[ $tracking == cgroup ]] || cannot "adopt: pam_slurm_adopt needs a writable cgroup v1 freezer at $FREEZER"
}

adopt_host() {
    [[ $1 != login* ]] || return 0
    sshd_adds adopt "$1" <<<'UsePAM yes'
    expand pam-sshd-adopt "$1" >"$STATE/$1/etc/pam.d/sshd"
}

hostbased_check() {
    local keysign
    for keysign in /usr/lib/openssh/ssh-keysign /usr/libexec/openssh/ssh-keysign /usr/lib/ssh/ssh-keysign; do
        [[ ! -u $keysign ]] || return 0
    done
    cannot "hostbased: no ssh-keysign that is setuid root; on Debian: apt install openssh-client"
}

hostbased_host() {
    # The client sends its name in the request, but sshd also looks up its address.
    sshd_adds hostbased "$1" <<'SSHD'
HostbasedAuthentication yes
PubkeyAuthentication no
UseDNS yes
SSHD
    ssh_adds hostbased "$1" <<'SSH'
HostbasedAuthentication yes
EnableSSHKeysign yes
SSH
    printf '%s\n' "${HOSTS[@]}" >"$STATE/$1/etc/ssh/shosts.equiv"
}

hostbased_home() { rm -r "$STATE/home/$1/.ssh"; }

nohome_home() { rm -r "${STATE:?}/home/$1"; }

# --- What the user has written -----------------------------------------------------------------

traps_home() {
    local home=$STATE/home/$1
    # The policy hostbased removes ~/.ssh.
    install -d -m 0700 "$home/.ssh"
    expand ssh-config-traps '' >"$home/.ssh/config"
    chown -R --reference "$home" "$home/.ssh"
}

# --- What sshd allows --------------------------------------------------------------------------

noforwarding_host() {
    [[ $1 == login* ]] || sshd_adds noforwarding "$1" <<<'AllowTcpForwarding no'
}

permitopen_host() {
    [[ $1 == login* ]] || sshd_adds permitopen "$1" <<<'PermitOpen localhost:*'
}

# --- Host keys ---------------------------------------------------------------------------------

# old_keys: prints lines for known_hosts with the keys that the nodes had before their
# reinstallation.
old_keys() {
    local node
    for node in n1 n2; do
        rm -f "$STATE/keys/old" "$STATE/keys/old.pub"
        ssh-keygen -q -t ed25519 -N '' -C "root@$node" -f "$STATE/keys/old"
        printf '%s,%s %s\n' "$node" "${ADDRESS[$node]}" "$(cut -d' ' -f1,2 "$STATE/keys/old.pub")"
    done
    rm "$STATE/keys/old" "$STATE/keys/old.pub"
}

oldkey_known() {
    old_keys >"$STATE/keys/old_known_hosts"
    cat "$STATE/keys/old_known_hosts" "$STATE/keys/ssh_known_hosts" >"$STATE/keys/both"
    mv "$STATE/keys/both" "$STATE/keys/ssh_known_hosts"
}

changedkey_known() {
    old_keys >"$STATE/keys/old_known_hosts"
    grep '^login' "$STATE/keys/ssh_known_hosts" >>"$STATE/keys/old_known_hosts"
    mv "$STATE/keys/old_known_hosts" "$STATE/keys/ssh_known_hosts"
}

# --- The network -------------------------------------------------------------------------------

# /etc/hosts keeps its line for ::1, as on a site that turned IPv6 off later.
ipv4_cable() {
    nsenter --target "$1" --net sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
}

ipv6_addresses() { ADDRESS=([login]=fd79::1 [login2]=fd79::2 [n1]=fd79::11 [n2]=fd79::12); }

ipv6_slurm() { echo 'CommunicationParameters=EnableIPv6' >>"$STATE/slurm/slurm.conf"; }

# --- Login hosts -------------------------------------------------------------------------------

logins_hosts() { HOSTS+=(login2); }

# --- Logging out -------------------------------------------------------------------------------

# Prints the unit file of users' service managers, which is in the folder of all units of systemd.
systemd_units() { compgen -G '/usr/lib/systemd/system/user@.service' || compgen -G '/lib/systemd/system/user@.service'; }

logind_check() {
    local file
    for file in /lib/systemd/systemd /lib/systemd/systemd-logind /usr/bin/dbus-daemon /usr/lib/polkit-1/polkitd; do
        [[ -x $file ]] || cannot "logind: no $file; on Debian: apt install systemd dbus polkitd"
    done
    compgen -G '/lib/*/security/pam_systemd.so' >/dev/null || compgen -G '/lib*/security/pam_systemd.so' >/dev/null ||
        cannot "logind: no pam_systemd.so; on Debian: apt install libpam-systemd"
    # The cgroup is made here, because only the attempt shows whether it is allowed; the cluster's
    # end removes it. Daemons that systemd did not start are in a cgroup beside systemd's own.
    mkdir -p "$UNIFIED_CLUSTER/login/daemons" 2>/dev/null ||
        cannot "logind: no writable cgroup v2 at $UNIFIED"
}

logind_host() {
    local etc=$STATE/login/etc units file
    [[ $1 == login ]] || return 0
    sshd_adds logind login <<<'UsePAM yes'
    cp "$CLUSTER_SOURCE/etc/pam-sshd-logind" "$etc/pam.d/sshd"
    cp "$CLUSTER_SOURCE/etc/pam-systemd-user" "$etc/pam.d/systemd-user"
    install -D -m 0644 "$CLUSTER_SOURCE/etc/logind.conf" "$etc/systemd/logind.conf.d/spunnel.conf"
    units=$(systemd_units)
    mkdir -p "$etc/systemd/spunnel"
    cp "${units%/*}"/{dbus.{service,socket},systemd-logind.service,polkit.service,user{@,-runtime-dir@}.service,user.slice} "$etc/systemd/spunnel/"
    for file in sysinit basic sockets shutdown; do
        printf '[Unit]\nDefaultDependencies=no\n' >"$etc/systemd/spunnel/$file.target"
    done
    cp "$CLUSTER_SOURCE/etc/spunnel.target" "$etc/systemd/spunnel/"
}

logind_booted() {
    [[ $1 != login ]] || wait_until on login loginctl list-sessions >/dev/null 2>&1 ||
        die "logind on login: does not answer: $(log_tail "$STATE/login/log/host-init.log")"
}
