#!/usr/bin/env bats
# Desktops in a session, with real Xvnc, noVNC and Chromium.

load helpers
load session_helpers

teardown() {
    rm -f "/proc/$(host_init n1)/root/etc/spunnel/desktop"
    picture_teardown
}

# In Python: a browser that shows a desktop.
DESKTOP='
CONNECTED = "document.documentElement.classList.contains(\"noVNC_connected\")"
def desktop(job, **more):
    page = Page(address(job), **more)
    page.until(CONNECTED)
    return page
SOCKET = """new Promise(done => {
    const socket = new WebSocket("ws://localhost:PORT/websockify");
    socket.onmessage = () => done("open"); socket.onerror = () => done("refused") })"""
'

@test "desktop: a window is typed into through noVNC, and seen; two on one node do not meet" {
    local one two
    one=$(begin --desktop -w n1 -c 1 -- sh -c 'openbox & exec xterm -fullscreen')
    two=$(begin --desktop -w n1 -c 1)
    { echo "$DESKTOP"; cat; } <<'PY' | ONE=$one TWO=$two on_page
one, two = os.environ["ONE"], os.environ["TWO"]
with desktop(one) as page:
    before = page.picture()
    def typed():
        # The terminal may not be there yet, and fills the screen only if it came after the window manager.
        page.click(240, 160)
        page.keys("touch typed.out\n")
        time.sleep(1)
        return "typed.out" in login("user1", "ls")
    eventually(typed, True)
    assert page.picture() != before
    page.keys("env -u x\n")
    time.sleep(1)
    if "SPUNNEL_PICTURES" in os.environ:
        page.picture(os.environ["SPUNNEL_PICTURES"] + "/session-desktop.png")
    # A second browser by a newer address; the first one goes on.
    with desktop(one) as other, desktop(two) as third:
        assert page.value(CONNECTED) and other.value(CONNECTED) and third.value(CONNECTED)
PY
    same 2 "$(processes Xtigervnc Xvnc | wc -l)"
    same 2 "$(processes Xtigervnc Xvnc | grep -o -- '-rfbunixpath [^ ]*' | sort -u | wc -l)"
}

@test "desktop: pages of other origins cannot drive it, also with the cookie and by a name of their own" {
    local job port
    job=$(begin --desktop -w n1)
    port=$(port "$job")
    start foreign user1 python3 -m http.server 18080 --bind 127.0.0.1 --directory /usr/share/novnc
    { echo "$DESKTOP"; cat; } <<'PY' | JOB=$job PORT=$port on_page
port = os.environ["PORT"]
with Page(address(os.environ["JOB"]), rules="MAP evil.example 127.0.0.1") as page:
    page.until(CONNECTED)
    socket = SOCKET.replace("PORT", port)
    # The session's own page may, so what follows is refused for who asks.
    assert page.value(socket) == "open"
    for foreign in ("http://127.0.0.1:18080", "http://localhost:18080", "http://evil.example:18080"):
        page.go(foreign + "/package.json")
        page.until(f"location.origin === {foreign!r} && document.readyState === 'complete'")
        assert page.value(socket) == "refused", foreign
        for path in ("/vnc.html", "/spunnel/next"):
            got = page.value(f"fetch('http://localhost:{port}{path}', {{credentials: 'include'}})"
                             ".then(r => r.text(), () => 'refused')")
            assert got == "refused", (foreign, path, got)
        sent = page.value(f"fetch('http://localhost:{port}/spunnel/enter', {{method: 'POST', mode: 'no-cors', "
                          "credentials: 'include', body: 'x'}).then(r => r.type, () => 'refused')")
        assert sent in ("opaque", "refused"), sent
        page.value("(() => { const f = document.createElement('iframe'); f.name = 'f'; "
                   f"f.src = 'http://localhost:{port}/vnc.html'; document.body.append(f) }})()")
    # The same port by a stranger's name: DNS rebinding.
    page.go(f"http://evil.example:{port}/vnc.html")
    page.until("document.body && document.body.innerText.includes('must begin with http://localhost')")
    # A link that the user follows leads to the session, by its own page.
    page.go("http://127.0.0.1:18080/package.json")
    page.until("location.port === '18080'")
    page.value(f"location.href = 'http://localhost:{port}/vnc.html?x=1'")
    page.until("location.pathname === '/vnc.html' && !location.search")
PY
}

@test "desktop: no secret shows, no stranger gets in, no port is open, and the display asks for its cookie" {
    local job display
    job=$(begin --desktop -w n1)
    strangers_stay_out "$job"
    no_secret_shows
    run host n1 root sh -c "ss -tlnp | grep -E 'Xvnc|Xtigervnc|openbox|spunnel'"
    same "" "$output"
    display=$(host n1 user1 sh -c 'ls /tmp/.X11-unix' | tr -d X)
    run host n1 user2 env DISPLAY=":$display" xdpyinfo
    [[ $status != 0 ]]
    lacks "name of display"
    # shellcheck disable=SC2016 # expanded there
    run host n1 user1 sh -c 'XAUTHORITY=$(echo /tmp/spunnel-session-*/Xauthority) DISPLAY=:'"$display"' xdpyinfo'
    holds "name of display"
}

@test "desktop: a viewer's password is new at each attach, and a hundred guesses shut nobody out" {
    local job
    job=$(begin --desktop -w n1)
    { echo "$DESKTOP"; cat; } <<'PY' | JOB=$job on_page
import re
from vnc import attempt
def viewer():
    told = login("user1", "spunnelctl", "session", "attach", "--viewer", os.environ["JOB"])
    return re.search(r"localhost:(\d+), password (\S{8}),", told).groups()
port, first = viewer()
same, second = viewer()
assert port == same and first != second, (port, same)
assert attempt(port, second) == "in"
assert attempt(port, first) == "refused"
for number in range(100):
    assert attempt(port, f"guess{number:03}") == "refused"
assert attempt(port, second) == "in"
with desktop(os.environ["JOB"]):
    pass
PY
}

@test "desktop: its end by log-out, scancel and kill -9 leaves no process, no socket, no lock of X" {
    local job
    job=$(begin --desktop -w n1 -- sh -c 'exit 4')
    eventually is_over "$job"
    as root scontrol show job "$job" | grep -q 'ExitCode=4:0'
    job=$(begin --desktop -w n1)
    url "$job" >/dev/null
    cancel_job "$job"
    within 15 pictures_are_gone
    job=$(begin --desktop -w n1)
    url "$job" >/dev/null
    processes Xtigervnc Xvnc | awk '{ print $2 }' | xargs kill -KILL
    eventually is_over "$job"
    within 15 pictures_are_gone
}

@test "desktop: a missing part is told by its package, and a limit that nears in a window" {
    local job
    host n1 root mount --bind /dev/null /usr/bin/vncpasswd
    run as user1 spunnelctl session start --desktop -w n1
    host n1 root umount /usr/bin/vncpasswd
    same 1 "$status"
    job=$(begin --desktop -w n1 -t 60)
    as root scontrol update job "$job" timelimit=4
    url "$job" >/dev/null
    JOB=$job terminal <<'PY'
t = Terminal("user1", "spunnelctl", "session", "attach", os.environ["JOB"])
t.expect("Ctrl-C leaves")
eventually(lambda: "xmessage" in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout, True)
t.sendintr()
t.expect("left session")
PY
    host n1 root sh -c 'ps -eo args | grep -q "xmessage.*this session ends in [34] minutes"'
}
