#!/usr/bin/env bats
# Notebooks in a session, with real JupyterLab and a real Chromium.

load helpers
load session_helpers

teardown() { picture_teardown; }

# In Python: what a user does in JupyterLab.
LAB='
CELL = "document.querySelector(\".jp-NotebookPanel .cm-content\")"
def run_cell(page, code):
    """Types into the first cell of a new notebook, runs it, and returns what it printed."""
    card = "document.querySelector(\".jp-LauncherCard[data-category=Notebook]\")"
    page.until(card)
    page.value(card + ".click()")
    page.until("document.querySelector(\".jp-Notebook-ExecutionIndicator[data-status=idle]\")")
    shown, end = "", time.monotonic() + PATIENCE
    while not shown:
        assert time.monotonic() < end, "the cell prints nothing"
        page.until(CELL)
        # A new notebook is drawn twice, and the first drawing takes what was typed along.
        if not page.value(CELL + ".innerText.trim()"):
            page.value(f"({CELL}.focus(), document.execCommand(\"insertText\", false, {json.dumps(code)}))")
        page.value(CELL + ".focus()")
        page.press("Enter", "Enter", 13, modifiers=8, text="\r")
        time.sleep(0.5)
        shown = page.value("[...document.querySelectorAll(\".jp-OutputArea-output\")].map(e => e.innerText).join()")
    return shown
'

@test "jupyter: a cell is run and read back from the page; the address before the newest opens nothing" {
    local job
    job=$(begin --jupyter -w n1 -c 1)
    { echo "$LAB"; cat; } <<'PY' | JOB=$job on_page
job = os.environ["JOB"]
first = address(job)
second = address(job)
assert first != second and first.split("#")[0] == second.split("#")[0], (first, second)
with Page(second) as page:
    page.until("location.pathname.startsWith('/lab')")
    # The same browser knows the session by its cookie, whatever key it brings.
    page.go(first)
    printed = run_cell(page, "import os; print(os.environ['SLURM_JOB_ID'], 6 * 7)")
    assert printed.strip() == f"{job} 42", printed
    assert "#" not in page.value("location.href"), page.value("location.href")
    if "SPUNNEL_PICTURES" in os.environ:
        page.value("[...document.querySelectorAll('.Toastify button')].pop()?.click()")
        page.picture(os.environ["SPUNNEL_PICTURES"] + "/session-jupyter.png")
with Page(first) as page:
    page.until("document.body && document.body.innerText.includes('not the session\\'s newest')")
    page.go(first.split("/spunnel")[0] + "/lab")
    page.until("document.body && document.body.innerText.includes('not the session\\'s newest')")
PY
}

@test "jupyter: no secret shows, no stranger gets in, and kernels open no port that shows outputs" {
    local job
    job=$(begin --jupyter -w n1)
    { echo "$LAB"; cat; } <<'PY' | JOB=$job on_page
with Page(address(os.environ["JOB"])) as page:
    assert run_cell(page, "print('cut', 'here')") .strip() == "cut here"
PY
    no_secret_shows
    strangers_stay_out "$job"
    run host n1 user1 sh -c 'stat -c "%a %n" /tmp/spunnel-session-* /tmp/spunnel-session-*/web /tmp/spunnel-session-*/jupyter.sock'
    holds "700 /tmp"
    same 2 "$(grep -c '^600 ' <<<"$output")"
    # Kernels are seen by unix sockets: none of their five channels is a port.
    same 5 "$(host n1 user1 sh -c 'ls /tmp/spunnel-session-*/jupyter/kernel-*-ipc-*' | wc -l)"
}

@test "jupyter: the program's end is the job's, with its status; --wait is told" {
    local job
    job=$(begin --jupyter -w n1)
    url "$job" >/dev/null
    processes jupyter-lab | awk '{ print $2 }' | xargs kill -INT
    processes jupyter-lab | awk '{ print $2 }' | xargs kill -TERM 2>/dev/null || true
    eventually is_over "$job"
    soon pictures_are_gone
    status=0
    as user1 spunnelctl session start --wait --jupyter -w n1 -- sh -c 'exit 5' || status=$?
    same 70 "$status"
}

@test "jupyter: a node without it says so, and a command that cannot start is told with its words" {
    run as user1 spunnelctl session start --jupyter -w n1
    [[ $status == 1 ]]
    holds "jupyter-lab: not found on this node"
    run as user1 spunnelctl session start --jupyter -w n1 -- sh -c 'echo no licence today; exit 3'
    [[ $status == 1 ]]
    holds "no licence today"
}

@test "jupyter: where no ssh to the node is allowed, the tunnel goes through srun" {
    local job
    configure optional transport=srun
    job=$(begin --jupyter -w n1)
    run as user1 curl -s -m 20 "http://localhost:$(port "$job")/spunnel/"
    holds "Opening the session"
    counts "$(whole "$job")" transport srun
}

@test "jupyter: attached at a terminal, a limit that nears is told there; Ctrl-C leaves it" {
    local job
    job=$(begin --jupyter -w n1 -t 60)
    as root scontrol update job "$job" timelimit=4
    JOB=$job terminal <<'PY'
job = os.environ["JOB"]
t = Terminal("user1", "spunnelctl", "session", "attach", job)
t.expect(r"http://localhost:\d+/spunnel/#[0-9a-f]{32}")
t.expect("on your own computer, first: ssh -L")
t.expect("this session ends in [34] minutes")
t.sendintr()
t.expect("left session " + job)
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 0, t.seen
t = Terminal("user1", "spunnelctl", "session", "--jupyter")
t.expect("Ctrl-C leaves session " + job)
login("user1", "spunnelctl", "session", "stop", job)
t.expect("session " + job + ":? (it )?has ended")
PY
    eventually pictures_are_gone
}

@test "jupyter: rejoined from a second login host, which opens a tunnel of its own" {
    only_under logins
    local job
    job=$(begin --jupyter -w n1)
    url "$job"
    run host login2 user1 spunnelctl session url "$job"
    same 0 "$status"
    # shellcheck disable=SC2016 # expanded there
    run host login2 user1 sh -c 'curl -s -m 20 "$(spunnelctl session url "$0" 2>/dev/null)"' "$job"
    holds "Opening the session"
}
