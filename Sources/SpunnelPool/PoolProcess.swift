// The program spunnel-pool, which is a coordinator or an agent.

import Glibc
import SpunnelSystem

/// The two roles of the program.
package enum PoolProcess {
  package static let usage = """
    usage: spunnel-pool [--log FILE] [--resume | --resume-failed] [--retries N] [--task-time TIME]
                        [-o FILE] [-e FILE] [-0] [-j N] FILE

    Runs each line of FILE as a command line for sh, on all nodes of the allocation (sbatch, salloc) that it is
    started in, as many at once as the allocation has tasks (-n). It exits with the largest status of a task.

      --log FILE        a line for each task that ended, as GNU parallel's --joblog (default FILE.joblog)
      --resume          leave out the tasks that the log has
      --resume-failed   leave out the tasks that succeeded
      --retries N       run a task that fails up to N times more
      --task-time TIME  begin nothing when less time is left to the job
      -o, --output FILE a file for each task: %t is the task's line, %j the job, %N the node; without %t all
                        tasks append to one file (default: print the output of each task when it ends)
      -e, --error FILE  standard error apart
      -0, --null        NUL bytes separate the commands
      -j, --jobs N      tasks at once on each node

    """

  /// Runs the program.
  ///
  /// - Parameter arguments: the words after the program's name
  /// - Returns: the exit status
  package static func main(_ arguments: [String]) -> Int {
    // A shell may ignore SIGCHLD for a command in the background.
    Process.keepChildren()
    if arguments.first == "agent" { return runAgent(Array(arguments.dropFirst())) }
    if arguments.contains(where: { $0 == "-h" || $0 == "--help" }) {
      StandardStream.output.write(usage)
      return 0
    }
    do {
      return try coordinate(try PoolOptions(arguments))
    } catch {
      StandardStream.error.write(line: "spunnel-pool: \(error)")
      return 125
    }
  }

  private static func coordinate(_ asked: PoolOptions) throws -> Int {
    var options = asked
    // If Slurm restarted the job, the pool continues where it stopped.
    let restarts = Process.environment("SLURM_RESTART_COUNT").flatMap { Int($0) } ?? 0
    if restarts > 0 && options.file != "-" { options.resumes = true }
    let tasks = try TaskFile(options.file, isNullSeparated: options.isNullSeparated)
    let allocation = try Allocation.current(tasksPerNode: options.tasksPerNode)
    let log = try JobLog(options.logPath, resumes: options.resumes)
    let ledger = Ledger(tasks)
    if options.resumes {
      // After a restart, failed tasks have used up their retries.
      try resume(ledger, log, tasks, failedToo: options.retriesFailed && restarts == 0)
    }
    let command = AgentCommand(
      program: try program(), srun: try srun(allocation), allocation: allocation, options: options)
    return try Coordinator(options, allocation, tasks, ledger, log).run(command)
  }

  private static func resume(
    _ ledger: Ledger, _ log: JobLog, _ tasks: TaskFile, failedToo: Bool
  ) throws {
    let found = try ledger.resume(log, tasks, failedToo: failedToo)
    var words = "resume: \(ledger.resumed) of \(ledger.total) tasks have run already"
    if found.damaged > 0 { words += "; damaged lines in the log, ignored: \(found.damaged)" }
    if found.different > 0 {
      words +=
        "; lines in the log of other commands than the file has now, ignored: \(found.different)"
    }
    StandardStream.error.write(line: "spunnel-pool: \(words)")
  }

  private static func program() throws(PoolUsageError) -> String {
    guard let program = Host.executable else {
      throw PoolUsageError("find this program: /proc/self/exe: cannot be read")
    }
    return program
  }

  private static func srun(_ allocation: Allocation) throws(PoolUsageError) -> String? {
    guard allocation.job != nil else { return nil }
    guard let srun = Program.find("srun") else {
      throw PoolUsageError("start the agents: srun: not found: add Slurm's programs to PATH")
    }
    return srun
  }

  private static func runAgent(_ words: [String]) -> Int {
    do {
      try Agent(try AgentOptions(words)).run()
      return 0
    } catch {
      StandardStream.error.write(line: "spunnel-pool agent: \(error)")
      return 125
    }
  }
}

extension AgentOptions {
  /// Reads the words that `AgentCommand` wrote: pairs of a name and a value.
  init(_ words: [String]) throws {
    self.init(slots: 1)
    for index in stride(from: 0, to: words.count - 1, by: 2) {
      let value = words[index + 1]
      switch words[index] {
      case "--slots": slots = Int(value) ?? 1
      case "--job": job = value
      case "--memory": memory = Int(value)
      case "--output": output = try OutputName(value)
      case "--error": error = try OutputName(value)
      default:
        throw PoolUsageError("read the command line: '\(words[index])': there is no such option")
      }
    }
  }
}
