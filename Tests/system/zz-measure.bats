load /work/wt/proofs/Tests/system/helpers
now() { read -r n _ </proc/uptime; echo $n; }
ends() { host n2 user1 /home/tools/client.py 8000 ended; }
ends_nonempty() { [[ -n $(ends) ]]; }
@test "measure ssh" {
    configure optional transport=${WAY:-ssh} 'ssh_args=-o|ServerAliveInterval=1|-o|ServerAliveCountMax=1'
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    start held user1 /home/tools/client.py 8002 hold
    eventually says held held
    "$CLUSTER/link" n2 down
    t0=$(now)
    within 80 says held reset
    echo "# client reset $t0 $(now)" >&3
    sleep ${CUT:-5}
    echo "# before up: service says '$(ends)'" >&3
    "$CLUSTER/link" n2 up; t1=$(now)
    eventually answers n2:8000 user1 8002 name
    echo "# tunnel back $t1 $(now)" >&3
    within 90 ends_nonempty || echo "# not told in 90 s" >&3
    echo "# service told $t1 $(now) $(ends)" >&3
}
