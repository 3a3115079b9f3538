#!/usr/bin/env bats
# A tunnel belongs to one user.

load helpers

uid() { as root id -u "$1"; }

logs() { grep -F "$2" "$(record "$1" log)" || { cat "$(record "$1" log)"; return 1; }; }

@test "another user is closed off before a byte passes, on 127.0.0.1 and on ::1" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice "closed before a byte" user2 8001 name
    logs "$(step s)" "refused uid $(uid user2) on port 8001"
    eventually counts "$(step s)" refused "$(families)"
    counts "$(step s)" accepted 0
    counts "$(step s)" sent 0
}

@test "the owner is served beside it, and root where the site says access=owner+root" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user1 8001 name
    answers_twice "closed before a byte" root 8001 name
    eventually counts "$(step s)" accepted "$(families)"
    logs "$(step s)" "refused uid 0 on port 8001"
    cancel s
    configure optional access=owner+root
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user1 8001 name
    answers_twice n1:8000 root 8001 name
    answers_twice "closed before a byte" user2 8001 name
}

@test "ssh -L of the owner from another host counts as the owner's, another user's does not" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start_on n2 own user1 "${SSH_BY_HAND[@]}" -N -L 9001:localhost:8001 login
    start_on n2 other user2 "${SSH_BY_HAND[@]}" -N -L 9002:localhost:8001 login
    eventually host n2 user1 bash -c ': </dev/tcp/localhost/9001'
    eventually host n2 user1 bash -c ': </dev/tcp/localhost/9002'
    same n1:8000 "$(host n2 user1 /home/tools/client.py 9001 name)"
    same "closed before a byte" "$(host n2 user2 /home/tools/client.py 9002 name)"
    logs "$(step s)" "refused uid $(uid user2) on port 8001"
}

@test "access=host serves every user of the login host" {
    configure optional access=host
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user2 8001 name
    eventually counts "$(step s)" refused 0
}

@test "nobody else can read the records, and their modes say so" {
    local directory
    serve s user1 --tunnel 8001:8000 -- 8000
    directory=/tmp/spunnel-$(uid user1)
    run as user2 ls "$directory"
    holds "Permission denied"
    run as user2 cat "$directory/$(step s)/log"
    holds "Permission denied"
    same 700 "$(as root stat -c %a "$directory")"
    same 700 "$(as root stat -c %a "$directory/$(step s)")"
    same "" "$(as root find "$directory" -perm /077 -not -type s)"
    same "" "$(as root find "$directory" -not -user user1)"
}

# starts_elsewhere NAME: a tunnel starts beside what has its records' name.
starts_elsewhere() {
    serve "$1" user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    [[ $(record "$(step "$1")") == *"/spunnel-$(uid user1)."????????/* ]]
    cancel "$1"
}

@test "a stranger's directory in place of the records keeps nobody from a tunnel, and stays empty" {
    local directory
    directory=/tmp/spunnel-$(uid user1)
    configure required
    as user2 mkdir -m 777 "$directory"
    starts_elsewhere s
    as user2 rmdir "$directory"
}

@test "a stranger's link in place of the records is not followed" {
    local directory
    directory=/tmp/spunnel-$(uid user1)
    configure required
    # Even to a directory of user1's own, which would pass every other check.
    as user1 mkdir -m 700 bait
    as user2 ln -s "$(as user1 pwd)/bait" "$directory"
    starts_elsewhere s
    as user2 rm "$directory"
    as user1 rmdir bait
}
