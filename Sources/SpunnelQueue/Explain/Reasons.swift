// Explains Slurm's reason why a job waits, and what the user can do.

import SpunnelSystem

/// The meaning of a reason.
package struct ReasonWords: Equatable, Sendable {
  /// A sentence without its full stop.
  package let meaning: String
  /// What the user can do; empty when only waiting helps.
  package let advice: String
  /// Whether waiting alone never helps.
  package let isForever: Bool
  /// Whether the job asks for what it can never have.
  package var isImpossible: Bool { isForever && advice.mentions("release") == false }

  private init(_ meaning: String, _ advice: String = "", isForever: Bool = false) {
    (self.meaning, self.advice, self.isForever) = (meaning, advice, isForever)
  }

  /// - Parameters:
  ///   - reason: Slurm's word for the reason
  ///   - explanation: Slurm's sentence, which tells a reservation from a node that is down
  package init(reason: String, explanation: String = "") {
    if explanation.mentions("Reserved for maintenance") {
      self.init(
        "its nodes are reserved for maintenance before it would end",
        "ask for less time: set JOB --time")
    } else if let known = ReasonWords.table[reason] {
      self = known
    } else if reason.hasPrefix("QOS") || reason.hasPrefix("Assoc") || reason.hasPrefix("Max")
      || reason.hasPrefix("Grp")
    {
      self.init(
        "a limit of your account or QOS is reached (\(reason))",
        "your other jobs must end first, or the site must raise the limit")
    } else {
      self.init(reason.isEmpty ? "Slurm has not said why yet" : "Slurm says \(reason)")
    }
  }

  private static let table: [String: ReasonWords] = [
    "Priority": ReasonWords("jobs with a higher priority are ahead"),
    "Resources": ReasonWords("it is next, and the nodes, cores or memory that it wants are in use"),
    "Dependency": ReasonWords("it waits for another job to end"),
    "DependencyNeverSatisfied": ReasonWords(
      "it waits for a job that ended in another way than it wants",
      "cancel it, or set JOB --dependency= takes the dependency away", isForever: true),
    "PartitionNodeLimit": ReasonWords(
      "it wants more nodes than the partition allows for a job",
      "ask for fewer nodes, or another partition", isForever: true),
    "PartitionTimeLimit": ReasonWords(
      "its time limit is longer than the partition allows",
      "lower the limit: set JOB --time", isForever: true),
    "PartitionDown": ReasonWords("its partition is down", "choose another: set JOB --partition"),
    "PartitionInactive": ReasonWords(
      "its partition takes no jobs now", "choose another: set JOB --partition"),
    "PartitionConfig": ReasonWords(
      "its partition does not allow what it wants", "choose another: set JOB --partition",
      isForever: true),
    "JobHeldUser": ReasonWords(
      "it is held by its user", "release it: set JOB --release", isForever: true),
    "JobHeldAdmin": ReasonWords(
      "it is held by the operator, or failed to start too often",
      "release it: set JOB --release, or ask the site", isForever: true),
    "BeginTime": ReasonWords("its begin time has not come"),
    "Licenses": ReasonWords("the licenses that it wants are in use"),
    "Reservation": ReasonWords("its reservation has not begun, or is full"),
    "ReqNodeNotAvail": ReasonWords(
      "a node that it names is down, drained or reserved", "leave --nodelist out"),
    "NodeDown": ReasonWords("a node that it needs is down"),
    "BadConstraints": ReasonWords(
      "no node has what it wants", "see spunnelctl nodes for features and memory",
      isForever: true),
    "JobArrayTaskLimit": ReasonWords("so many tasks of its array run as it allows at once"),
    "InvalidAccount": ReasonWords(
      "its account is not valid", "name another: --account", isForever: true),
    "InvalidQOS": ReasonWords("its QOS is not valid", "name another: --qos", isForever: true),
    "QOSNotAllowed": ReasonWords(
      "its QOS is not allowed there", "name another: --qos", isForever: true),
    "MaxMemPerLimit": ReasonWords(
      "it wants more memory than the partition allows", "ask for less: --mem", isForever: true),
    "Prolog": ReasonWords("the site's prolog runs on its nodes"),
    "Cleaning": ReasonWords("its last run is still being cleaned up"),
    "JobHoldMaxRequeue": ReasonWords(
      "it was requeued too often", "release it: set JOB --release", isForever: true),
    "BurstBufferResources": ReasonWords("the burst buffer has no room"),
    "BurstBufferStageIn": ReasonWords("its data are being copied to the burst buffer"),
  ]
}
