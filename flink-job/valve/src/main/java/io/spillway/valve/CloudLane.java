package io.spillway.valve;

import io.spillway.valve.ValveCounters.Count;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import javax.annotation.Nullable;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The batches of one valve subtask, from the first record to the receipt or the refusal. Everything
 * runs in the task's thread: timers and answers come through the mailbox, so there are no locks.
 */
final class CloudLane {

  private static final Logger LOG = LoggerFactory.getLogger(CloudLane.class);

  private static final Duration LEAST_TIME = Duration.ofMillis(1);

  /** What becomes of batches. */
  interface Events {

    /** A batch has its receipt. */
    void settled(SealedBatch batch, String receipt);

    /** A batch was refused, and stays unsettled until {@link CloudLane#forget} is called. */
    void bounced(SealedBatch batch);
  }

  private final ValveConfig config;
  private final ValveIdentity identity;
  private final BatchSender sender;
  private final RetryBackoff backoff;
  private final MailboxExecutor mailbox;
  private final ProcessingTimeService timers;
  private final ValveClock clock;
  private final ValveCounters counters;
  private final Events events;

  private final BatchBuffer open;
  private final WindowTally.Builder openTally = new WindowTally.Builder();

  /** In the order of their sequence numbers. */
  private final Map<Long, SealedBatch> unsettled = new LinkedHashMap<>();

  /** Number of batches opened so far; the open batch, if any, is the last of them. */
  private long opened;

  /** Batches that are sealed and have no answer. */
  private int inFlight;

  /** The most credits that there were. What has come back takes none up, but is held here, too. */
  private int mostCredits;

  @Nullable private ScheduledFuture<?> linger;
  private boolean unauthorizedSaid;
  private boolean closed;

  CloudLane(
      ValveConfig config,
      ValveIdentity identity,
      BatchSender sender,
      RetryBackoff backoff,
      MailboxExecutor mailbox,
      ProcessingTimeService timers,
      ValveClock clock,
      ValveCounters counters,
      Events events) {
    this.config = config;
    this.identity = identity;
    this.sender = sender;
    this.backoff = backoff;
    this.mailbox = mailbox;
    this.timers = timers;
    this.clock = clock;
    this.counters = counters;
    this.events = events;
    this.open = new BatchBuffer(config);
  }

  /**
   * Puts a record into the open batch, or opens one.
   *
   * @param credits batches that may be in flight at once
   * @return false if there is no credit, or the record fits into no batch
   */
  <T> boolean offer(
      T record, RecordCodec<T> codec, long eventTimeMs, WindowCounts window, int credits) {
    if (!hasRoom(credits)) {
      return false;
    }
    if (!open.append(record, codec, eventTimeMs)) {
      if (open.count() == 0) {
        return false;
      }
      seal();
      if (!hasRoom(credits) || !open.append(record, codec, eventTimeMs)) {
        return false;
      }
    }
    openTally.add(window);
    if (open.count() == 1) {
      startLinger(opened++);
    }
    if (open.count() >= config.maxBatchRecords()) {
      seal();
    }
    return true;
  }

  /**
   * Whether there is an open batch, or one may be opened: there is a credit, and what is held,
   * batches that have come back included, is at most one more than there ever were credits.
   */
  boolean hasRoom(int credits) {
    mostCredits = Math.max(mostCredits, credits);
    return open.count() > 0 || (inFlight < credits && unsettled.size() <= mostCredits);
  }

  /** Number of batches opened so far. */
  long opened() {
    return opened;
  }

  /** Sequence number of the first batch that is not settled, or {@link WatermarkGate#NONE}. */
  long firstUnsettled() {
    if (!unsettled.isEmpty()) {
      return unsettled.keySet().iterator().next();
    }
    return open.count() > 0 ? opened - 1 : WatermarkGate.NONE;
  }

  /** Seals the open batch, if there is one, and sends it. */
  void seal() {
    if (open.count() == 0) {
      return;
    }
    if (linger != null) {
      linger.cancel(false);
      linger = null;
    }
    long sequence = opened - 1;
    String id = identity.batchId(sequence);
    SealedBatch batch =
        new SealedBatch(
            sequence, id, open.encode(id), open.count(), openTally.build(), clock.nanos());
    open.clear();
    unsettled.put(sequence, batch);
    inFlight++;
    counters.add(Count.IN_FLIGHT_BATCHES, 1);
    send(batch);
  }

  /** The open batch as a message, or null. It stays open. */
  @Nullable
  byte[] openMessage() {
    return open.count() == 0 ? null : open.encode(identity.batchId(opened - 1));
  }

  /** Batches that are sealed and not settled, in order. */
  Iterable<SealedBatch> unsettled() {
    return unsettled.values();
  }

  /** A returned batch has gone down the local lane. */
  void forget(SealedBatch batch) {
    unsettled.remove(batch.sequence);
  }

  /** From now on nothing is sent, and answers do not count. */
  void close() {
    closed = true;
    if (linger != null) {
      linger.cancel(false);
      linger = null;
    }
  }

  private void startLinger(long sequence) {
    linger =
        timers.registerTimer(
            timers.getCurrentProcessingTime() + config.linger().toMillis(),
            time -> {
              // A timer that could not be cancelled any more may find a later batch open.
              if (!closed && open.count() > 0 && opened - 1 == sequence) {
                seal();
              }
            });
  }

  private void send(SealedBatch batch) {
    // A machine that was suspended may find the deadline past; a time-out of nothing is no
    // time-out.
    Duration left = timeLeft(batch);
    if (left.compareTo(LEAST_TIME) < 0) {
      left = LEAST_TIME;
    }
    if (++batch.sends > 1) {
      counters.add(Count.RETRIES, 1);
    }
    sender
        .send(batch.id, batch.message, left)
        .whenComplete(
            (answer, failure) -> {
              try {
                mailbox.execute(() -> answered(batch, answer, failure), "answer to %s", batch.id);
              } catch (RejectedExecutionException e) {
                // The task is over: the batch is in its last checkpoint, or will be read anew.
                LOG.debug("Answer to {} came after the end of the task", batch.id);
              }
            });
  }

  private void answered(
      SealedBatch batch, @Nullable BatchSender.Answer answer, @Nullable Throwable failure) {
    if (closed) {
      return;
    }
    SendOutcome outcome = SendOutcome.of(answer, failure, batch, config);
    if (outcome instanceof SendOutcome.Settled settled) {
      unsettled.remove(batch.sequence);
      inFlight--;
      counters.add(Count.IN_FLIGHT_BATCHES, -1);
      counters.add(Count.SETTLED_BATCHES, 1);
      unauthorizedSaid = false;
      events.settled(batch, settled.receipt());
    } else if (outcome instanceof SendOutcome.Retry retry) {
      retry(batch, retry);
    } else if (outcome instanceof SendOutcome.Bounce bounce) {
      if (SendOutcome.unauthorized(answer)) {
        sayUnauthorized(bounce.reason());
      }
      bounce(batch, bounce.reason());
    }
  }

  private void retry(SealedBatch batch, SendOutcome.Retry retry) {
    Duration wait = retry.after() != null ? retry.after() : backoff.after(batch.sends);
    if (wait.compareTo(timeLeft(batch)) >= 0) {
      bounce(batch, "its deadline is reached, and the last send had: " + retry.reason());
      return;
    }
    LOG.info("Batch {} is sent again in {} ms: {}", batch.id, wait.toMillis(), retry.reason());
    timers.registerTimer(
        // Rounded up: a Retry-After must not be undercut.
        timers.getCurrentProcessingTime() + wait.plusNanos(999_999).toMillis(),
        time -> {
          if (closed) {
            return;
          }
          if (timeLeft(batch).compareTo(Duration.ofMillis(1)) < 0) {
            bounce(batch, "its deadline is reached, and the last send had: " + retry.reason());
          } else {
            send(batch);
          }
        });
  }

  private void bounce(SealedBatch batch, String reason) {
    LOG.warn(
        "Batch {} with {} records goes back to the local lane: {}",
        batch.id,
        batch.records,
        reason);
    batch.returned = true;
    inFlight--;
    counters.add(Count.IN_FLIGHT_BATCHES, -1);
    counters.add(Count.BOUNCED_BATCHES, 1);
    events.bounced(batch);
  }

  private void sayUnauthorized(String reason) {
    if (!unauthorizedSaid) {
      unauthorizedSaid = true;
      LOG.error(
          "The sidecar refuses the valve's token ({}). Set {} to the sidecar's token.",
          reason,
          ValveOptions.SIDECAR_TOKEN.key());
    }
  }

  private Duration timeLeft(SealedBatch batch) {
    return config.deadline().minusNanos(clock.nanos() - batch.sealedNanos);
  }
}
