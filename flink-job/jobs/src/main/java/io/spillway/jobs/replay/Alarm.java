package io.spillway.jobs.replay;

import java.util.concurrent.CompletableFuture;

/** Wakes a reader up. */
interface Alarm extends AutoCloseable {

  /** Completes the future, on any thread, after at least this many milliseconds. */
  void completeAfter(long delayMs, CompletableFuture<Void> future);

  @Override
  void close();
}
