package io.spillway.valve;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.runtime.io.network.api.writer.ResultPartitionWriter;
import org.apache.flink.runtime.io.network.buffer.BufferPool;
import org.apache.flink.runtime.io.network.partition.ResultPartition;
import org.apache.flink.runtime.jobgraph.IntermediateDataSetID;
import org.apache.flink.streaming.api.graph.NonChainedOutput;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.graph.StreamEdge;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/**
 * The local lane's result partitions.
 *
 * <p>Congested means: three quarters of the buffers that are not each subpartition's own are in
 * use, or of what one subpartition may have queued for it (by default 10 buffers, then the pool
 * counts as unavailable). What is left is room for hundreds of records, and the output is looked at
 * every few; less would take the moment in which a window fires for congestion.
 */
final class BufferedOutput implements LocalOutput {

  /** Of the default of {@code taskmanager.network.memory.max-buffers-per-channel}, 10. */
  private static final int QUEUED_PER_SUBPARTITION = 7;

  private final ResultPartition[] partitions;

  private BufferedOutput(List<ResultPartition> partitions) {
    this.partitions = partitions.toArray(ResultPartition[]::new);
  }

  /**
   * Finds the outputs of the local lane: those of the valve's main output, and of every operator
   * that is chained to it. The ledger and late records do not count.
   *
   * @param valve the valve's own configuration within the chain
   */
  static LocalOutput of(StreamTask<?, ?> task, StreamConfig valve) {
    ClassLoader loader = task.getUserCodeClassLoader();
    StreamConfig head = task.getConfiguration();
    Set<IntermediateDataSetID> local = localOutputs(valve, head, loader);
    List<NonChainedOutput> inOrder = head.getVertexNonChainedOutputs(loader);
    List<ResultPartition> partitions = new ArrayList<>();
    for (int i = 0; i < inOrder.size(); i++) {
      // The task's writers are in the order of these outputs.
      if (local.contains(inOrder.get(i).getDataSetId())) {
        ResultPartitionWriter writer = task.getEnvironment().getWriter(i);
        if (writer instanceof ResultPartition partition) {
          partitions.add(partition);
        }
      }
    }
    return partitions.isEmpty() ? UNLIMITED : new BufferedOutput(partitions);
  }

  private static Set<IntermediateDataSetID> localOutputs(
      StreamConfig valve, StreamConfig head, ClassLoader loader) {
    Map<Integer, StreamConfig> chain =
        new HashMap<>(head.getTransitiveChainedTaskConfigsWithSelf(loader));
    Set<IntermediateDataSetID> outputs = new HashSet<>();
    for (NonChainedOutput output : valve.getOperatorNonChainedOutputs(loader)) {
      if (output.getOutputTag() == null) {
        outputs.add(output.getDataSetId());
      }
    }
    ArrayDeque<StreamConfig> behind = new ArrayDeque<>();
    for (StreamEdge edge : valve.getChainedOutputs(loader)) {
      if (edge.getOutputTag() == null) {
        behind.add(chain.get(edge.getTargetId()));
      }
    }
    StreamConfig operator;
    while ((operator = behind.poll()) != null) {
      for (NonChainedOutput output : operator.getOperatorNonChainedOutputs(loader)) {
        outputs.add(output.getDataSetId());
      }
      for (StreamEdge edge : operator.getChainedOutputs(loader)) {
        behind.add(chain.get(edge.getTargetId()));
      }
    }
    return outputs;
  }

  @Override
  public boolean congested() {
    for (ResultPartition partition : partitions) {
      if (congested(partition)) {
        return true;
      }
    }
    return false;
  }

  private static boolean congested(ResultPartition partition) {
    BufferPool pool = partition.getBufferPool();
    if (pool == null || !partition.isAvailable()) {
      return true;
    }
    int subpartitions = partition.getNumberOfSubpartitions();
    // Each subpartition keeps one buffer that is being filled; the rest are shared.
    int shared = Math.max(1, pool.getNumBuffers() - subpartitions);
    int used = pool.bestEffortGetNumOfUsedBuffers() - subpartitions;
    if (4 * used > 3 * shared) {
      return true;
    }
    if (subpartitions > 1) {
      for (int i = 0; i < subpartitions; i++) {
        if (partition.getNumberOfQueuedBuffers(i) > QUEUED_PER_SUBPARTITION) {
          return true;
        }
      }
    }
    return false;
  }

  @Override
  public boolean available() {
    for (ResultPartition partition : partitions) {
      if (!partition.isAvailable()) {
        return false;
      }
    }
    return true;
  }
}
