// A control master whose ssh is a fake, and the loop that serves both.

import SpunnelSystem

@testable import SpunnelKeeper

struct MasterRig {
  let loop: EventLoop
  let scratch: Scratch
  let fake: FakeMaster
  let master: ControlMaster

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    fake = try FakeMaster(scratch)
    master = try ControlMaster(fake.record, link: 0)
  }
}

/// Tests that hold such a master.
protocol MasterSuite {
  var rig: MasterRig { get }
}

extension MasterSuite {
  var loop: EventLoop { rig.loop }
  var scratch: Scratch { rig.scratch }
  var fake: FakeMaster { rig.fake }
  var master: ControlMaster { rig.master }

  /// Lets loop and ssh work until the condition holds.
  func turn(until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try fake.work()
      return condition()
    }
  }
}
