package io.spillway.jobs.replay;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** An alarm with a thread of its own, so that the reader's thread can do other work meanwhile. */
final class TimerThread implements Alarm {
  private final ScheduledThreadPoolExecutor executor =
      new ScheduledThreadPoolExecutor(
          1,
          task -> {
            Thread thread = new Thread(task, "replay-timer");
            thread.setDaemon(true);
            return thread;
          });

  @Override
  public void completeAfter(long delayMs, CompletableFuture<Void> future) {
    executor.schedule(() -> future.complete(null), delayMs, TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
