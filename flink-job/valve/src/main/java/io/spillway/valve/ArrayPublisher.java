package io.spillway.valve;

import java.net.http.HttpRequest.BodyPublisher;
import java.nio.ByteBuffer;
import java.util.concurrent.Flow;

/**
 * A request body that is an array, handed on in slices without copying. The JDK's own publisher of
 * arrays copies all of it in pieces of 16 KiB before the first is sent.
 */
final class ArrayPublisher implements BodyPublisher {

  /** As much as a socket's send buffer takes at once. */
  private static final int SLICE = 1 << 16;

  private final byte[] body;

  ArrayPublisher(byte[] body) {
    this.body = body;
  }

  @Override
  public long contentLength() {
    return body.length;
  }

  @Override
  public void subscribe(Flow.Subscriber<? super ByteBuffer> subscriber) {
    subscriber.onSubscribe(new Slices(subscriber));
  }

  /** Hands out slices as they are asked for. The client asks from one thread at a time. */
  private final class Slices implements Flow.Subscription {

    private final Flow.Subscriber<? super ByteBuffer> subscriber;
    private int at;
    private long demand;
    private boolean emitting;
    private boolean done;

    Slices(Flow.Subscriber<? super ByteBuffer> subscriber) {
      this.subscriber = subscriber;
    }

    @Override
    public synchronized void request(long n) {
      if (done) {
        return;
      }
      if (n <= 0) {
        done = true;
        subscriber.onError(new IllegalArgumentException("request(" + n + ")"));
        return;
      }
      demand = demand + n < 0 ? Long.MAX_VALUE : demand + n;
      if (emitting) {
        // onNext asked for more: the loop below goes on.
        return;
      }
      emitting = true;
      while (demand > 0 && !done && at < body.length) {
        demand--;
        int length = Math.min(SLICE, body.length - at);
        ByteBuffer slice = ByteBuffer.wrap(body, at, length).asReadOnlyBuffer();
        at += length;
        subscriber.onNext(slice);
      }
      emitting = false;
      if (at == body.length && !done) {
        done = true;
        subscriber.onComplete();
      }
    }

    @Override
    public synchronized void cancel() {
      done = true;
    }
  }
}
