// What ssh says while a link lives, and what becomes of the link when ssh ends.

import SpunnelSystem
import SpunnelTunnel

extension Link: RefusalListener {
  var lastRefusal: String? { launcher.lastRefusal }

  func expectsRefusal(_ isToCome: Bool) { refusals.expect(isToCome) }
}

extension Link: SSHLauncherObserver {
  func sshSays(_ line: String) {
    if line.mentions("open failed"), !refusals.note(line) { return }
    record.log("ssh: \(line)")
  }

  func sshEnded(_ diagnosis: SSHDiagnosis) {
    stopOpening()
    let since = state.upSince
    change(.ended(diagnosis))
    attempts.noteEnd()
    if state.isOver { return }
    record.log("ssh to \(node) ended: \(diagnosis.message)")
    if since != nil, wasUp { observer?.linkIsLost(self) }
    if wasUp, diagnosis.jobIsGone { observer?.linkMissesJob(self) }
    if state.isOver { return }
    if isIdle && !wasUp { return }
    if let since { attempts.backoff.lost(after: Clock.milliseconds() - since) }
    let isStart = !wasUp && !cargo.urgent.isEmpty
    if isStart { judge(diagnosis) } else { refusal = diagnosis }
    if isIdle { return }
    attempts.planNext(isStart: isStart, isAwaited: observer?.linkIsAwaited(self) ?? false)
  }

  /// Decides, after a failed first attempt, how long a requester with a deadline is kept waiting.
  private func judge(_ diagnosis: SSHDiagnosis) {
    let isFirst = refusal == nil
    refusal = diagnosis
    if diagnosis.retry == .never { return giveUp() }
    if !isFirst { return }
    // An attempt that still runs then is not waited for, because it may take much longer.
    loop.after(milliseconds: Link.brief) { [weak self] in
      if self?.wasUp == false, self?.refusal?.retry == .briefly { self?.giveUp() }
    }
  }
}
