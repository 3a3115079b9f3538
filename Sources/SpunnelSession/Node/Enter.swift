// `spunnel-session enter`: what sshd in a job runs for each shell, command and file transfer, with the job's
// environment.

import Glibc
import SpunnelSystem

enum Enter {
  /// What sshd and the login give, which the job's own must not replace.
  private static let kept: Set<String> = [
    "HOME", "USER", "LOGNAME", "SHELL", "MAIL", "TERM", "DISPLAY", "XAUTHORITY", "SSH_CONNECTION",
    "SSH_CLIENT", "SSH_TTY", "SSH_AUTH_SOCK", "SSH_ORIGINAL_COMMAND",
  ]
  /// Where OpenSSH's packages put sftp-server.
  private static let servers = [
    "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server", "/usr/local/libexec/sftp-server",
  ]

  /// Becomes the user's shell, which runs the command as sshd has it run elsewhere (sshd(8), LOGIN PROCESS).
  static func run() -> CInt {
    let environment = merged()
    let shell = SessionEnvironment.value(of: "SHELL", in: environment) ?? "/bin/sh"
    let name = ByteString(bytes: shell.bytes.split(separator: UInt8(ascii: "/")).last ?? [])
    let command = SessionEnvironment.value(of: "SSH_ORIGINAL_COMMAND", in: environment)
    let clean = environment.filter { !$0.hasPrefix("SSH_ORIGINAL_COMMAND=") }
    var program = Program(
      path: shell, arguments: ["-" + name], environment: clean, descriptors: [])
    if let command, isFileTransfer(command) {
      guard let server = servers.first(where: { unsafe access($0, X_OK) == 0 }) else {
        return refuse("find sftp-server: not found on this node: scp -O needs none")
      }
      program.path = ByteString(server)
      program.arguments = [ByteString(server)]
    } else if let command {
      program.arguments = [name, "-c", command]
    }
    if let directory = SessionEnvironment.value(of: "HOME", in: environment),
      unsafe chdir(directory.text) != 0
    {
      _ = unsafe chdir("/")
    }
    do throws(SystemError) { try program.replace() } catch { return refuse("\(error)") }
    return 126
  }

  private static func isFileTransfer(_ command: ByteString) -> Bool {
    command == "internal-sftp" || command == "sftp"
  }

  /// The job's environment, and over it what sshd has set for this connection.
  private static func merged() -> [ByteString] {
    let own = Process.environment()
    let job = JobEnvironment.find()
    let fromHere = own.filter { entry in
      guard let name = SessionEnvironment.name(of: entry) else { return false }
      return kept.contains(name) || name.hasPrefix("LC_") || name == "LANG"
        || SessionEnvironment.value(of: name, in: job) == nil
    }
    let here = Set(fromHere.compactMap { SessionEnvironment.name(of: $0) })
    return fromHere
      + job.filter { entry in !here.contains(SessionEnvironment.name(of: entry) ?? "") }
  }

  private static func refuse(_ line: String) -> CInt {
    StandardStream.error.write(line: "spunnel: \(line)")
    return 1
  }
}

/// The environment of the job that this process is in.
enum JobEnvironment {
  /// That of the job's script, or of its first task on this node; in the end, that of this step.
  static func find() -> [ByteString] {
    let step = ownStep()
    guard let job = SessionEnvironment.value(of: "SLURM_JOB_ID", in: step) else { return [] }
    let leaders = ProcessTable.own().map { ($0.id, ProcessTable.environment(of: $0.id)) }
      .filter { id, entries in
        SessionEnvironment.value(of: "SLURM_JOB_ID", in: entries) == job
          && SessionEnvironment.value(of: "SLURM_TASK_PID", in: entries) == ByteString("\(id)")
          && !entries.contains {
            $0.hasPrefix("SLURM_STEP_NAME=spunnel") || $0 == "SLURM_STEP_NAME=ssh"
          }
      }
      .sorted { rank($0.1) < rank($1.1) }
    return SessionEnvironment.ofJob(leaders.first?.1 ?? step)
  }

  /// The batch script comes before all steps, and those in their order.
  private static func rank(_ entries: [ByteString]) -> Int {
    SessionEnvironment.value(of: "SLURM_STEP_ID", in: entries).flatMap { Int($0.text) } ?? -1
  }

  /// sshd forgets the step's environment; the program that started it has it still.
  private static func ownStep() -> [ByteString] {
    for process in ProcessTable.ancestors() {
      let entries = ProcessTable.environment(of: process)
      if SessionEnvironment.value(of: "SLURM_JOB_ID", in: entries) != nil { return entries }
    }
    return []
  }
}
