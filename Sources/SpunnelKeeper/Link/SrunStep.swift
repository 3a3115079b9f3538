// The step of a tunnel through srun, and how its sshd is reached: by a connection that it makes back to
// the keeper, or through srun's own input and output where it cannot.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class SrunStep {
  /// How ssh speaks with the sshd of the step.
  enum Way {
    /// Over a connection between the two hosts.
    case direct
    /// Through srun, since the node cannot connect, for this reason.
    case detour(String)
  }

  private let loop: EventLoop
  private let arrivals: Arrivals
  private let heard: (String) -> Void
  private let reached: (Way, SSHProcess.Streams) -> Void
  private var arrival: Arrival?
  private var srun: SSHProcess?
  /// The keeper's ends of srun's input and output: its input ends with the keeper, by whatever death.
  private var input: FileDescriptor?
  private var output: FileDescriptor?
  private var timer: EventLoop.Timer?

  /// Starts the step.
  ///
  /// - Parameters:
  ///   - arrivals: where its sshd connects to
  ///   - patience: milliseconds in which its sshd is to be reached
  ///   - late: told when they are over
  ///   - heard: told each line that srun and the step say
  ///   - reached: told once how ssh is to speak; the streams are borrowed
  /// - Throws: what is wrong when srun cannot be started
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
    // Without a death signal: the end of its input has it end its step in order.
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

  /// srun's process id, `nil` once it has ended.
  var child: pid_t? { srun?.child }

  /// The process group of srun and of what it has started, once srun itself has ended.
  private(set) var leader: pid_t?

  /// - Returns: what the node's end is told; `nil` when there is no port to connect to
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
    // ssh alone has them from now on: with its end srun's input ends.
    reached(.detour(reason), .init(input: reader.raw, output: writer.raw))
  }

  private func abandon() {
    if let arrival { arrivals.dismiss(arrival) }
    arrival = nil
  }

  /// Reads what was said by now.
  func listen() { srun?.listen() }

  /// To be called whenever a child may have ended.
  ///
  /// - Returns: the exit status, once, when srun has ended
  func reap() -> Int? {
    let process = srun?.child
    guard let code = srun?.reap() else { return nil }
    leader = process
    finish()
    return code
  }

  /// Has srun end its step, without waiting: its input ends.
  func finish() {
    abandon()
    loop.cancel(timer)
    input = nil
    output = nil
  }

  /// The same, and hears no more of it.
  ///
  /// - Returns: the child, for the caller to end and to wait for, unless it has ended
  func letGo() -> pid_t? {
    finish()
    return srun?.letGo()
  }
}
