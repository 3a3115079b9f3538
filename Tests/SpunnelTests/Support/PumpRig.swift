// A pump with both far ends of its sockets in the test's hands.

import Glibc
import SpunnelSystem

@testable import SpunnelKeeper

final class PumpRig {
  let pump: Pump
  /// The user's program.
  let client: End
  /// ssh.
  let service: End
  /// What the pump is told when it asks.
  var isCut = false
  /// Whether no process has the client's socket open any more.
  var isGone = false
  /// Whether the test gives the answer, later.
  var answersLater = false
  private(set) var asked: [(end: ServiceEnd, answer: (Bool) -> Void)] = []
  private(set) var ends: [PumpEnd] = []
  private(set) var moves = 0

  init(_ loop: EventLoop, _ wire: Wire = .tcp, _ pool: PipePool = PipePool()) throws {
    let near = try wire.pair()
    let far = try Wire.unix.pair()
    client = try End(near.right)
    service = try End(far.right)
    var told: (cut: CutQuestion, gone: () -> Bool, end: (PumpEnd) -> Void, move: () -> Void) =
      ({ _, answer in answer(true) }, { false }, { _ in }, {})
    let cut: CutQuestion = { told.cut($0, $1) }
    let end: (PumpEnd) -> Void = { told.end($0) }
    let move: () -> Void = { told.move() }
    pump = Pump(
      loop, client: near.left, service: far.left, pool: pool, askIfCut: cut,
      clientIsGone: { told.gone() }, moved: move, finished: end)
    told = (
      { [weak self] in self?.answer($0, $1) }, { [weak self] in self?.isGone ?? false },
      { [weak self] in self?.ends.append($0) },
      { [weak self] in self?.moves += 1 }
    )
    try pump.start()
  }

  private func answer(_ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) {
    asked.append((end, answer))
    if !answersLater { answer(isCut) }
  }

  func work() {
    client.work()
    service.work()
  }
}

/// Tests of pumps on one loop.
protocol PumpSuite {
  var loop: EventLoop { get }
}

extension PumpSuite {
  /// Lets the loop and both far ends work until the condition holds.
  func turn(_ rig: PumpRig, until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      rig.work()
      return condition()
    }
  }
}
