// The step of a tunnel through srun. Its sshd connects back to the keeper. If it cannot, ssh
// reaches it through srun's own input and output.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class SrunStep {
  /// How ssh reaches the sshd of the step.
  enum Way {
    /// Over a connection between the two hosts.
    case direct
    /// Through srun, for this reason: the node cannot connect.
    case detour(String)
  }

  private let loop: EventLoop
  private let arrivals: Arrivals
  private let heard: (String) -> Void
  private let reached: (Way, SSHProcess.Streams) -> Void
  private var arrival: Arrival?
  private var srun: SSHProcess?
  /// The keeper's ends of srun's standard input and output. When the keeper dies in any way, srun's
  /// input ends.
  private var input: FileDescriptor?
  private var output: FileDescriptor?
  private var timer: EventLoop.Timer?

  /// Starts the step.
  ///
  /// - Parameters:
  ///   - transport: the srun command and its environment
  ///   - arrivals: the port to which its sshd connects back
  ///   - patience: milliseconds in which its sshd must be reached
  ///   - late: called when that time is over
  ///   - heard: called with each line that srun and the step write
  ///   - reached: called once with the way to the sshd; the streams are borrowed
  /// - Throws: why srun cannot be started
  init(
    _ loop: EventLoop, _ transport: SrunTransport, _ arrivals: Arrivals, patience: Int,
    late: @escaping () -> Void, heard: @escaping (String) -> Void,
    reached: @escaping (Way, SSHProcess.Streams) -> Void
  ) throws(SSHDiagnosis) {
    self.loop = loop
    self.arrivals = arrivals
    self.heard = heard
    self.reached = reached
    try start(transport, callback: expect())
    timer = loop.after(milliseconds: patience, late)
  }

  deinit { abandon() }

  private static func pipe(childHas end: Pipe.End) throws(SSHDiagnosis) -> Pipe {
    do throws(SystemError) { return try FileDescriptor.pipe(childHas: end) } catch {
      throw .unstarted(error)
    }
  }

  private func start(_ transport: SrunTransport, callback: String?) throws(SSHDiagnosis) {
    let questions = try SrunStep.pipe(childHas: .reader)
    let answers = try SrunStep.pipe(childHas: .writer)
    // srun gets no death signal: when its input ends, it ends its step in order.
    srun = try SSHProcess(
      loop, transport.command,
      environment: transport.environment(from: Process.environment(), callback: callback),
      streams: .init(input: questions.reader.raw, output: answers.writer.raw), deathSignal: 0
    ) { [weak self] in self?.listen($0) }
    let writer = questions.writer
    let reader = answers.reader
    input = consume writer
    output = consume reader
  }

  /// srun's process id; `nil` once it has ended.
  var child: pid_t? { srun?.child }

  /// The process group of srun and its children, once srun itself has ended.
  private(set) var leader: pid_t?

  /// Expects the connection of the step's sshd.
  ///
  /// - Returns: the text for the node's end; `nil` if no port is available
  private func expect() -> String? {
    do throws(SystemError) {
      let (arrival, text) = try arrivals.expect { [weak self] in self?.arrive($0) }
      self.arrival = arrival
      return text
    } catch {
      let reason = "no port for the node to connect back to: \(error)"
      heard("\(reason): the tunnel goes through srun and is slow: \(SrunPorts.advice)")
      loop.postpone { [weak self] in self?.takeDetour(reason) }
      return nil
    }
  }

  private func arrive(_ connection: consuming FileDescriptor) {
    arrival = nil
    loop.cancel(timer)
    reached(.direct, .init(input: connection.raw, output: connection.raw))
  }

  private func listen(_ line: String) {
    heard(line)
    if let reason = SSHDiagnosis.detour(line) { takeDetour(reason) }
  }

  private func takeDetour(_ reason: String) {
    abandon()
    loop.cancel(timer)
    guard let reader = output.take(), let writer = input.take() else { return }
    // After this only ssh has these two ends: when ssh ends, srun's input ends.
    reached(.detour(reason), .init(input: reader.raw, output: writer.raw))
  }

  private func abandon() {
    if let arrival { arrivals.dismiss(arrival) }
    arrival = nil
  }

  /// Reads what srun has written by now.
  func listen() { srun?.listen() }

  /// Reaps srun if it has ended. To be called whenever a child may have ended.
  ///
  /// - Returns: the exit status, once, after srun has ended
  func reap() -> Int? {
    let process = srun?.child
    guard let code = srun?.reap() else { return nil }
    leader = process
    finish()
    return code
  }

  /// Ends srun's input, so that srun ends its step. Does not wait.
  func finish() {
    abandon()
    loop.cancel(timer)
    input = nil
    output = nil
  }

  /// Ends srun's input and stops reading from srun.
  ///
  /// - Returns: the child, which the caller must end and wait for; `nil` if it has ended
  func letGo() -> pid_t? {
    finish()
    return srun?.letGo()
  }
}
