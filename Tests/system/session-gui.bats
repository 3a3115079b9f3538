#!/usr/bin/env bats
# One graphical program in a session, with real xpra and Chromium.

load helpers
load session_helpers

teardown() { picture_teardown; }

@test "gui: a program is seen and typed into in the browser; its end is the job's, with its status" {
    local job
    job=$(begin --gui xterm -w n1 -c 1)
    cat <<'PY' | JOB=$job on_page
with Page(address(os.environ["JOB"])) as page:
    page.until("document.querySelector('canvas')")
    page.until("[...document.querySelectorAll('.windowhead')].some(e => /xterm|user1@n1/.test(e.innerText))")
    page.click(640, 400)
    if "SPUNNEL_PICTURES" in os.environ:
        time.sleep(1)
        page.picture(os.environ["SPUNNEL_PICTURES"] + "/session-gui.png")
    page.keys("touch typed.out\n")
    eventually(lambda: "typed.out" in login("user1", "ls"), True)
# The window is closed with its browser; the program goes on.
assert os.environ["JOB"] in login("user1", "squeue", "-h", "-t", "R", "-o", "%i")
with Page(address(os.environ["JOB"])) as page:
    page.until("[...document.querySelectorAll('.windowhead')].some(e => /xterm|user1@n1/.test(e.innerText))")
PY
    as user1 spunnelctl session stop "$job"
    job=$(begin -w n1 --gui sh -- -c 'exit 5')
    eventually is_over "$job"
    as root scontrol show job "$job" | grep -q 'ExitCode=5:0'
    within 15 pictures_are_gone
}

@test "gui: no secret shows, no stranger gets in; scancel leaves nothing" {
    local job
    job=$(begin --gui xterm -w n1)
    strangers_stay_out "$job"
    no_secret_shows
    run host n1 root sh -c "ss -tlnp | grep -E 'xpra|Xvfb|spunnel'"
    same "" "$output"
    cancel_job "$job"
    within 15 pictures_are_gone
}

@test "gui: with --keep the session outlives its program; a program that is not there is told" {
    local job
    job=$(begin --gui true --keep -w n1)
    url "$job" >/dev/null
    runs "$job"
    as user1 spunnelctl session stop "$job"
    run as user1 spunnelctl session start -w n1 --gui no-such-program
    same 1 "$status"
    holds "no-such-program: not found on this node"
}
