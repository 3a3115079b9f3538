// spunnelctl session: rejoins a session or starts one; which subcommands there are.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSlurm
import SpunnelSystem

enum SessionCommand {
  static let spec = CommandSpec(
    "session", "A shell in a job that you can leave and come back to.",
    operands: [SessionRejoin.session], options: StartOptions.all, foreignOptions: .sbatch,
    programWords: .init(.afterSeparator),
    details: """
      Rejoins the session that is named, else the only one that runs; of several, the one that was
      attached last; else the one that was queued first. If there is none, it starts a shell.

      Ctrl-C while a session waits in the queue leaves it there. To leave a shell session, type
      tmux's prefix and d (Ctrl-b d).
      """,
    examples: [
      .init("spunnelctl session", "Be in your session again, or in a new one."),
      .init("spunnelctl session thesis -c 4 --mem 16G", "The same, of that name."),
    ],
    exitStatuses: statuses,
    subcommands: [
      SessionStart.spec, SessionAttach.spec, SessionListing.spec, SessionEnding.url,
      SessionEnding.stop, SessionEnding.extend,
    ],
    action: SessionRejoin.run)

  static let statuses = [
    ("0", "The session was left, or ended well."), ("1", "Something failed."),
    ("2", "The command line makes no sense."), ("any", "with sbatch's --wait, the job's own"),
  ]
}

/// What the subcommands share.
enum Sessions {
  static func programs() throws(CommandError) -> SessionPrograms {
    guard let installation = Installation.current else {
      throw .failure("session: \(Installation.absence)")
    }
    return SessionPrograms(folder: installation.prefix + "/libexec/spunnel")
  }

  /// The user's sessions that are not over.
  static func all() throws(CommandError) -> [SessionJob] {
    let query = SessionQuery(try programs())
    do throws(SlurmError) { return try query.all() } catch { throw .failure("\(error)") }
  }

  /// One session, also when it is over.
  static func ask(_ job: String) throws(CommandError) -> SessionJob? {
    let query = SessionQuery(try programs())
    do throws(SlurmError) { return try query.one(job) } catch { throw .failure("\(error)") }
  }

  static var hasTerminal: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

  /// The one session that a word means, or the only one that there is.
  ///
  /// - Parameter word: a name or a job's number
  static func one(_ word: String?) throws(CommandError) -> SessionJob {
    let all = try all()
    guard let word else {
      switch SessionChoice.choose(among: all, kind: nil, hasTerminal: hasTerminal) {
      case .attach(let job), .wait(let job): return job
      case .attachOfSeveral(let job):
        tell(last: job)
        return job
      case .several(let jobs): throw several(jobs)
      case .new: throw .failure("find a session: you have none: start one with spunnelctl session")
      }
    }
    let found = SessionChoice.named(word, among: all)
    if found.count > 1 { throw several(found) }
    guard let job = found.first else { throw absent(word) }
    return job
  }

  /// Says which of several was taken.
  static func tell(last job: SessionJob) {
    remark("spunnelctl: session \(job.id) (\(printable(job.name))), the one attached last")
  }

  static func several(_ jobs: [SessionJob]) -> CommandError {
    .failures(
      ["several sessions: name one of them:"]
        + SessionTable(jobs).text.split(separator: "\n").map(String.init))
  }

  static func absent(_ word: String) -> CommandError {
    .failure(
      "find session '\(printable(word))': you have none of that name or number: see "
        + "spunnelctl session list")
  }

  /// Runs srun to its end.
  static func srun(_ words: [String], milliseconds: Int) throws(CommandError) -> ProgramResult {
    try slurm("srun", words.map { ByteString($0) }, milliseconds: milliseconds)
  }

  /// Runs one of Slurm's programs to its end.
  static func slurm(
    _ name: String, _ words: [ByteString], milliseconds: Int = 120_000
  ) throws(CommandError) -> ProgramResult {
    guard let path = Program.find(name) else { throw .failure("\(name): not found on PATH") }
    let program = Program(
      path: ByteString(path), arguments: [ByteString(name)] + words,
      environment: SessionPrograms.environment(from: Process.environment()), descriptors: [])
    do throws(SystemError) { return try program.capture(milliseconds: milliseconds) } catch {
      throw .failure("\(error)")
    }
  }
}

extension ValueKind<String> {
  /// A session of the user's, by name or number.
  static var session: ValueKind {
    .text(
      .asked { _ in
        let sessions = (try? Sessions.all()) ?? []
        return sessions.map { Candidate($0.id, "\($0.state.lowercased()) \(printable($0.name))") }
      })
  }
}
