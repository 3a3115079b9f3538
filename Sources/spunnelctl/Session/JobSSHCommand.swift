// spunnelctl ssh and spunnelctl proxy: ssh into a running job, where nobody may ssh to its node.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSystem

enum JobSSHCommand {
  private static let job = Operand("JOB", .job, .optional)
  private static let config = Flag(
    "config", "Print the lines for ~/.ssh/config with which ssh, scp and VS Code lead into jobs.")
  /// ssh(1) has letters alone.
  private static let options = ForeignOptions(
    program: "ssh", flags: [], values: [],
    letters: "1246AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:P:p:Q:R:S:W:w:")

  static let spec = CommandSpec(
    "ssh", "ssh into a running job of yours.",
    operands: [job], options: [config], foreignOptions: options,
    programWords: .init(.afterOperands, "CMD…"), forms: ["JOB [CMD…]"],
    details: """
      JOB is a job's number, as 12 or 12.job, or the name of a running session. An sshd of your own
      runs in the job for each connection and ends with it. The shell has the job's environment.
      Nobody needs to be allowed to ssh to the node. The keys are in ~/.ssh/spunnel.
      """,
    examples: [
      .init("spunnelctl ssh 12 nvidia-smi", "Run a command in job 12."),
      .init(
        "spunnelctl ssh --config", "Print what ssh 12.job needs, here and on your own computer."),
    ],
    exitStatuses: [
      ("any", "the command's own"), ("255", "ssh failed"),
      ("2", "The command line makes no sense."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    if call[config] {
      try printConfiguration()
      return .success
    }
    guard let word = call.first(job) else {
      throw .usage("ssh: name a job, as in spunnelctl ssh 12")
    }
    let job = try JobAccess.job(word)
    let keys = try JobAccess.keys()
    guard let own = Host.executable, JobSSH.isPlain(own), let ssh = Program.find("ssh") else {
      throw .failure("ssh into job \(job): \(Installation.absence)")
    }
    var environment = Process.environment().filter { !$0.hasPrefix("SHELL=") }
    // ssh has its ProxyCommand run by it (ssh_config(5)), and the user's own may be anything.
    environment.append("SHELL=/bin/sh")
    let program = Program(
      path: ByteString(ssh),
      arguments: JobSSH.ssh(
        job: job, options: call.foreign, command: call.program, proxy: "\(own) proxy \(job)",
        keys: keys),
      environment: environment, descriptors: [])
    do throws(SystemError) { try program.replace() } catch { throw .failure("\(error)") }
    return .failure
  }

  private static func printConfiguration() throws(CommandError) {
    let keys = try JobAccess.keys()
    guard let own = Host.executable else { throw .failure("ssh --config: \(Installation.absence)") }
    let text: String
    let directory: String? = nil
    let host = try StateOption(directory).loginName
    do throws(JobKeysError) {
      text = try JobSSH.configuration(
        command: own, user: Host.userName, host: host, keys: keys)
    } catch { throw .failure("read the keys of ssh into jobs: \(error.reason)") }
    try say(text)
  }
}

enum JobProxyCommand {
  private static let job = Operand("JOB", .job)

  static let spec = CommandSpec(
    "proxy", "Lead ssh's ProxyCommand into a job.", operands: [job],
    details: """
      Its input and output are those of an sshd that runs in the job. spunnelctl ssh --config prints
      the lines of ssh_config that use it.
      """,
    examples: [
      .init("ssh -o ProxyCommand='spunnelctl proxy 12' n1", "Be in job 12, by an ssh of your own.")
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let job = try JobAccess.job(try call.required(job))
    let programs = try Sessions.programs()
    let keys = try JobAccess.keys()
    let secrets: [ByteString]
    do throws(JobKeysError) {
      secrets = try JobSSH.environment(keys, authorized: JobAccess.authorizedKeys, programs)
    } catch { throw .failure("read the keys of ssh into jobs: \(error.reason)") }
    let status = try relay(JobSSH.srun(job: job, programs), secrets)
    if status != 0 { throw .failure("ssh into job \(job): srun ended with status \(status)") }
    return .success
  }

  /// srun between ssh and the job. At its end ssh sends HUP to this process, and srun would take that for an
  /// order to kill the step; srun sees the end of its input instead, and the step ends in order.
  private static func relay(
    _ words: [String], _ secrets: [ByteString]
  ) throws(CommandError) -> CInt {
    guard let path = Program.find("srun") else { throw .failure("srun: not found on PATH") }
    _ = signal(SIGHUP, SIG_IGN)
    _ = signal(SIGINT, SIG_IGN)
    var program = Program(
      path, words,
      environment: SessionPrograms.environment(from: Process.environment()) + secrets)
    program.parentDeathSignal = SIGTERM
    do throws(SystemError) {
      let pipe = try FileDescriptor.pipe(childHas: .writer)
      let child = try start(&program, errors: pipe.writer)
      pass(pipe.reader)
      var status: CInt = 0
      try check("waitpid") { unsafe waitpid(child, &status, 0) }
      return Process.exitCode(status)
    } catch { throw .failure("\(error)") }
  }
}

extension JobProxyCommand {
  private static func start(
    _ program: inout Program, errors: consuming FileDescriptor
  ) throws(SystemError) -> pid_t {
    program.descriptors = [STDIN_FILENO, STDOUT_FILENO, errors.raw]
    return try program.start()
  }

  /// Passes on what srun says, without what it says when nothing is wrong, until it ends.
  private static func pass(_ errors: consuming FileDescriptor) {
    var lines = LineBuffer(longest: 1 << 16)
    while errors.waitReadable(milliseconds: -1), let more = try? errors.read(atMost: 4096),
      !more.isEmpty
    {
      lines.append(more)
      while let line = lines.next() {
        if !JobSSH.isChatter(line) { remark(line) }
      }
      if lines.isOverlong { lines.drop() }
    }
    if !lines.rest.isEmpty { remark(lines.rest) }
  }
}

/// What both commands need: which job, and the keys.
enum JobAccess {
  /// - Parameter word: 12, 12.job, or the name of a running session
  static func job(_ word: String) throws(CommandError) -> String {
    let plain = JobSSH.job(of: word)
    if SessionChoice.isJobNumber(plain) { return plain }
    let found = SessionChoice.named(plain, among: try Sessions.all())
      .filter { $0.phase == .running }
    if found.count > 1 { throw Sessions.several(found) }
    guard let job = found.first else { throw Sessions.absent(plain) }
    return job.id
  }

  static func keys() throws(CommandError) -> JobKeys {
    guard let home = Process.environment("HOME"), JobSSH.isPlain(home) else {
      throw .failure(
        "make the keys of ssh into jobs: HOME is not set to a path of plain characters: set it")
    }
    do throws(JobKeysError) { return try JobKeys(making: home + "/.ssh/spunnel") } catch {
      throw .failure("make the keys of ssh into jobs: \(error.reason)")
    }
  }

  static var authorizedKeys: String {
    guard let home = Process.environment("HOME"),
      let directory = try? Directory.open(following: home + "/.ssh"),
      let bytes = try? directory.read("authorized_keys", atMost: 1 << 18)
    else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
