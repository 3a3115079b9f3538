// Starting and ending real programs.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

@Suite struct ProgramTests {
  private func program(_ path: String, _ arguments: [String] = []) -> Program {
    Program(path: path, arguments: [path] + arguments, environment: helperPath, descriptors: [])
  }

  @Test func argumentsArriveWordForWord() throws {
    let words = ["a", "b c", "", "$(id)", "`id`", "*", "-n", "new\nline", "'\"\\", "ünïcode"]
    let helper = try Helper(#"printf '<%s>' "$@""#, words)
    #expect(helper.all() == words.map { "<\($0)>" }.joined())
  }

  @Test func theEnvironmentIsWhatWasGiven() throws {
    var program = program("/usr/bin/env")
    program.environment = ["A=1", "B=x=y z"]
    #expect(try Helper(program).all() == "A=1\nB=x=y z\n")
  }

  @Test(
    arguments: [
      ("nothing-there", ENOENT), ("plain-file", EACCES), ("", EACCES), ("no-header", ENOEXEC),
    ])
  func aProgramThatCannotRunIsAnErrorAndNoChild(name: String, code: CInt) throws {
    let scratch = try Scratch()
    try scratch.write("x", to: "plain-file")
    try scratch.write("x", to: "no-header", mode: 0o700)
    let path = scratch.path + "/" + name
    let error = #expect(throws: SystemError.self) { try Helper(program(path)) }
    #expect(error == SystemError("start \(path)", code))
  }

  @Test func aClosedDescriptorIsAnError() throws {
    #expect(throws: SystemError("start /bin/true", EBADF)) {
      try Helper(program("/bin/true")) { null, _ in [null, null, 1_000_000] }
    }
  }

  @Test func sourcesMayStandWhereOthersBelong() throws {
    let pipes = try (0..<3).map { _ in try PipeBox() }
    let sources = pipes.map(\.writer)
    // Every source's own number is the place of the next one.
    let places = sources.map(Int.init)
    let script = places.map { "echo \($0) > /proc/self/fd/\($0);" }.joined()
    let helper = try Helper(
      Program(
        path: "/bin/bash", arguments: ["bash", "-c", script], environment: helperPath,
        descriptors: [])
    ) { null, _ in
      var descriptors = [CInt](repeating: null, count: (places.max() ?? 0) + 1)
      for index in 0..<3 { descriptors[places[index]] = sources[(index + 1) % 3] }
      return descriptors
    }
    #expect(helper.status() == 0)
    for index in 0..<3 {
      #expect(try pipes[(index + 1) % 3].read() == "\(places[index])\n")
    }
  }

  @Test func oneSourceMayHaveManyPlaces() throws {
    let helper = try Helper(
      Program(
        path: "/bin/bash", arguments: ["bash", "-c", "echo out; echo err >&2; echo more >&3"],
        environment: helperPath, descriptors: [])
    ) { [$0, $1, $1, $1] }
    #expect(helper.all() == "out\nerr\nmore\n")
  }

  @Test func nothingElseIsInherited() throws {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let kept = (0..<5).map { fcntl(null.raw, F_DUPFD, 200 + $0 * 50) }
    defer { for raw in kept { close(raw) } }
    // ls(1) itself opens the directory as the lowest free number.
    #expect(try Helper(program("/bin/ls", ["/proc/self/fd"])).all() == "0\n1\n2\n3\n")
  }

  @Test func signalsAreAtTheirDefaultsAndNoneIsBlocked() throws {
    // What is ignored would be inherited. It stays so: tests beside this one count on it.
    ignoreBrokenPipes
    var blocked = sigset_t()
    var previous = sigset_t()
    unsafe sigemptyset(&blocked)
    for number in [SIGTERM, SIGINT, SIGCHLD, SIGUSR1] { unsafe sigaddset(&blocked, number) }
    unsafe pthread_sigmask(SIG_BLOCK, &blocked, &previous)
    let helper = try Helper(program("/bin/cat", ["/proc/self/status"]))
    unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
    // The C library keeps 32 and 33 for itself and changes neither.
    let ownSignals: UInt64 = 0b11 << 31
    for line in helper.all().split(separator: "\n") {
      guard ["SigBlk:", "SigIgn:", "SigCgt:"].contains(where: line.hasPrefix) else { continue }
      let signals = try #require(UInt64(line.suffix(16), radix: 16))
      #expect(signals & ~ownSignals == 0, "\(line)")
    }
  }

  @Test func theCallersMaskIsAsItWas() throws {
    var (before, after) = (sigset_t(), sigset_t())
    unsafe pthread_sigmask(SIG_SETMASK, nil, &before)
    _ = try Helper(program("/bin/true")).status()
    unsafe pthread_sigmask(SIG_SETMASK, nil, &after)
    for number in 1..<32 as Range<CInt> {
      #expect(unsafe sigismember(&before, number) == sigismember(&after, number))
    }
  }

  @Test(arguments: [true, false])
  func aSessionOfItsOwnIsAChoice(isNew: Bool) throws {
    var program = program("/bin/sleep", ["60"])
    program.newSession = isNew
    let helper = try Helper(program)
    #expect(getsid(helper.child) == (isNew ? helper.child : getsid(0)))
    #expect(getpgid(helper.child) == helper.child)
    Process.terminate(helper.child)
    #expect(helper.status() == 143)
  }

  @Test func aDetachedProgramIsNobodysChildAndLeadsNoSession() throws {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let pipe = try PipeBox()
    try Program(
      path: "/bin/bash", arguments: ["bash", "-c", "read -a stat </proc/$$/stat; echo ${stat[@]}"],
      environment: helperPath, descriptors: [null.raw, pipe.writer, null.raw]
    ).startDetached()
    var said = ""
    #expect(
      try eventually {
        said += try pipe.read()
        return said.hasSuffix("\n")
      })
    // proc(5): pid, name, state, parent, group, session.
    let stat = said.split(separator: " ").prefix(6).compactMap { pid_t($0) }
    try #require(stat.count == 4)
    let (child, parent, session) = (stat[0], stat[1], stat[3])
    #expect(parent != getpid())
    #expect(session != child && session != getsid(0))
  }

  @Test func aDetachedProgramThatCannotRunIsAnError() {
    #expect(throws: SystemError("start /nothing-there", ENOENT)) {
      try Program(path: "/nothing-there", arguments: ["x"], descriptors: [0]).startDetached()
    }
  }

  @Test func theLimitOfOpenFilesIsRaisedOnRequest() throws {
    var program = program("/bin/bash", ["-c", "ulimit -Sn; ulimit -Hn"])
    program.raisesDescriptorLimit = true
    let lines = try Helper(program).all().split(separator: "\n")
    #expect(lines.count == 2 && lines.first == lines.last)
  }

  @Test func aChildDiesWithItsParent() async throws {
    let scratch = try Scratch()
    await #expect(processExitsWith: .success) { [path = scratch.path as String] in
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      var program = Program(
        path: "/bin/bash", arguments: ["bash", "-c", "trap '' TERM; exec sleep 600"],
        environment: ["PATH=/usr/bin:/bin"], descriptors: [null.raw, null.raw, null.raw])
      program.parentDeathSignal = SIGKILL
      let child = try program.start()
      let file = try FileDescriptor.open(path + "/child", O_WRONLY | O_CREAT)
      try file.writeAll(Array(String(child).utf8))
    }
    let child = try #require(pid_t(try scratch.read("child")))
    #expect(eventually { !isRunning(child) })
  }
}

@Suite struct ProcessTests {
  @Test func theExitStatusIsTold() throws {
    #expect(try Helper("exit 7").status() == 7)
    #expect(try Helper("kill -9 $$").status() == 128 + 9)
    #expect(try Helper("exit 0").status() == 0)
  }

  @Test func aRunningChildRuns() throws {
    let helper = try Helper("exec sleep 60")
    #expect(Process.poll(helper.child) == .running)
  }

  @Test func aRunningOrStoppedProcessIsNotExiting() throws {
    #expect(!Process.isExiting(getpid()))
    let helper = try Helper("echo ready; exec sleep 60")
    #expect(eventually { helper.said == "ready\n" })
    #expect(!Process.isExiting(helper.child))
    kill(helper.child, SIGSTOP)
    #expect(!Process.isExiting(helper.child))
  }

  @Test func aProcessThatNobodyWaitedForOrThatIsGoneIsExiting() throws {
    let helper = try Helper("exec sleep 60")
    kill(helper.child, SIGKILL)
    #expect(eventually { Process.isExiting(helper.child) })
    #expect(helper.status() == 137)
    #expect(Process.isExiting(helper.child))
  }

  @Test func aProcessThatCannotBeLookedAtIsNotTakenForExiting() async {
    await #expect(processExitsWith: .success) {
      let helper = try Helper("exec sleep 60")
      let descriptors = NoDescriptors()
      #expect(!Process.isExiting(helper.child))
      descriptors.giveBack()
      kill(helper.child, SIGKILL)
      #expect(eventually { Process.isExiting(helper.child) })
      #expect(helper.status() == 137)
    }
  }

  @Test(arguments: [") R 1 1 1 1 1 4", "a b c d e f g 4", "((()", ") Z"])
  func theNameOfAProcessIsNotTakenForItsFlags(name: String) throws {
    let scratch = try Scratch()
    let path = scratch.path + "/" + name
    try scratch.makeLink(name, to: "/bin/sleep")
    let helper = try Helper(
      Program(path: path, arguments: ["sleep", "60"], environment: helperPath, descriptors: []))
    #expect(!Process.isExiting(helper.child))
    kill(helper.child, SIGKILL)
    #expect(eventually { Process.isExiting(helper.child) })
    #expect(helper.status() == 137)
  }

  @Test func aChildThatSomebodyElseWaitedForHasEnded() throws {
    let helper = try Helper("exit 0")
    #expect(helper.status() == 0)
    #expect(Process.poll(helper.child) == .ended(255))
  }

  @Test func aChildThatIgnoresTermIsKilled() throws {
    let helper = try Helper("trap '' TERM; echo ready; exec sleep 600")
    #expect(eventually { helper.said == "ready\n" })
    Process.end(group: helper.child, patience: 20)
    helper.wasWaitedFor()
    #expect(!isRunning(helper.child))
  }

  @Test func aChildThatHeedsTermIsNotKilled() throws {
    let helper = try Helper(
      "trap 'echo bye; exit' TERM; echo ready; while true; do read -t 0.01 x <> <(:); done")
    #expect(eventually { helper.said == "ready\n" })
    Process.end(group: helper.child, patience: 20_000)
    helper.wasWaitedFor()
    #expect(helper.all() == "ready\nbye\n")
  }

  @Test func whatTheChildStartedEndsWithIt() throws {
    let helper = try Helper(
      "trap 'exit' TERM; (trap '' TERM; echo $BASHPID; exec sleep 600) & while true; do wait; done")
    #expect(eventually { helper.said.hasSuffix("\n") })
    let grandchild = try #require(pid_t(helper.said.dropLast()))
    Process.end(group: helper.child, patience: 20_000)
    helper.wasWaitedFor()
    #expect(eventually { !isRunning(grandchild) })
  }
}

@Suite struct EndingTests {
  /// The grandchild of a helper that writes its id.
  private func grandchild(of helper: Helper) throws -> pid_t {
    #expect(eventually { helper.said.hasSuffix("\n") })
    return try #require(pid_t(helper.said.dropLast()))
  }

  private func finish(_ ending: Ending) -> Bool { eventually { ending.advance() } }

  @Test func nobodyWaitsForAChildThatIgnoresTerm() throws {
    let helper = try Helper("trap '' TERM; echo ready; exec sleep 600")
    #expect(eventually { helper.said == "ready\n" })
    let ending = Ending(helper.child, patience: 300)
    helper.wasWaitedFor()
    #expect(!ending.advance() && ending.mayAct && ending.isTimed)
    #expect(isRunning(helper.child))
    #expect(finish(ending))
    #expect(!ending.mayAct && Process.poll(helper.child) == .ended(255))
  }

  @Test func aChildThatIsStoppedIsKilled() throws {
    let helper = try Helper("echo ready; exec sleep 600")
    #expect(eventually { helper.said == "ready\n" })
    kill(helper.child, SIGSTOP)
    let ending = Ending(helper.child, patience: 50)
    helper.wasWaitedFor()
    #expect(finish(ending))
    #expect(Process.poll(helper.child) == .ended(255))
  }

  @Test func whatIsSparedEndsByItself() throws {
    let helper = try Helper(
      "(trap '' TERM; echo $BASHPID; while kill -0 $$; do sleep 0.01; done 2>/dev/null) & "
        + "trap exit TERM; while true; do wait; done")
    let grandchild = try grandchild(of: helper)
    let ending = Ending(helper.child, patience: 20_000, rest: 20_000)
    helper.wasWaitedFor()
    #expect(finish(ending))
    #expect(!isRunning(grandchild))
  }

  @Test func whatIsSparedAndStaysIsKilled() throws {
    let helper = try Helper(
      "trap exit TERM; (trap '' TERM; echo $BASHPID; exec sleep 600) & while true; do wait; done")
    let grandchild = try grandchild(of: helper)
    let ending = Ending(helper.child, patience: 20_000, rest: 100)
    helper.wasWaitedFor()
    #expect(
      eventually { !ending.advance() && Process.poll(helper.child) == .ended(255) })
    #expect(isRunning(grandchild) && !ending.mayAct)
    #expect(finish(ending))
    #expect(eventually { !isRunning(grandchild) })
  }

  @Test func whatAChildHasLeftBehindIsKilledInTime() throws {
    let helper = try Helper("(trap '' TERM; echo $BASHPID; exec sleep 600) & exit 3")
    let grandchild = try grandchild(of: helper)
    #expect(helper.status() == 3)
    let ending = Ending(leftBy: helper.child, rest: 50)
    #expect(!ending.mayAct && isRunning(grandchild))
    #expect(finish(ending))
    #expect(eventually { !isRunning(grandchild) })
  }
}

@Suite struct SearchPathTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    for name in ["a", "b", "c"] { try scratch.makeDirectory(name) }
    try scratch.write("", to: "a/tool", mode: 0o600)
    try scratch.write("", to: "b/tool", mode: 0o700)
    try scratch.write("", to: "c/tool", mode: 0o700)
  }

  private func find(_ name: String, _ directories: String...) -> String? {
    let searchPath = directories.map { scratch.path + "/" + $0 }.joined(separator: ":")
    return Program.find(ByteString(name), searchPath: ByteString(searchPath))?.text
  }

  @Test func theFirstExecutableIsTaken() {
    #expect(find("tool", "b", "c") == scratch.path + "/b/tool")
    #expect(find("tool", "c", "b") == scratch.path + "/c/tool")
  }

  @Test func whatIsNotThereOrNotExecutableIsPassedOver() {
    #expect(find("tool", "a", "none", "b") == scratch.path + "/b/tool")
    #expect(find("other", "a", "b") == nil)
  }

  @Test func aDirectoryIsNoProgram() throws {
    try scratch.makeDirectory("a/dir")
    try scratch.write("", to: "b/dir", mode: 0o700)
    #expect(find("dir", "a", "b") == scratch.path + "/b/dir")
  }

  @Test func aPathIsTakenAsItIs() {
    #expect(find("./nowhere/tool", "b") == "./nowhere/tool")
  }

  @Test func anEmptyPartIsTheWorkingDirectory() {
    #expect(Program.find("no-such-tool", searchPath: "") == nil)
    #expect(Program.find("Package.swift", searchPath: "") == nil)
  }
}

/// A pipe that closures can hold.
private final class PipeBox {
  private let pipe: Pipe

  init() throws { pipe = try FileDescriptor.pipe() }

  var writer: CInt { pipe.writer.raw }

  func read() throws -> String {
    String(decoding: try pipe.reader.read(atMost: 4096) ?? [], as: UTF8.self)
  }
}
