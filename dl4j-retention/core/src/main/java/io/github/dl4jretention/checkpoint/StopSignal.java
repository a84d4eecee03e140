package io.github.dl4jretention.checkpoint;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * While it is open, the end of the JVM by SIGINT or SIGTERM asks for a stop and waits until it has been closed. The
 * thread that closes it then waits for the end in turn: what comes after would be cut off anywhere.
 */
final class StopSignal implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(StopSignal.class);
    private static final long LONGEST_WAIT_SECONDS = 300;

    private final CountDownLatch closed = new CountDownLatch(1);
    private final CountDownLatch never = new CountDownLatch(1);
    private final Thread hook;

    StopSignal(Runnable stop) {
        hook = new Thread(
                () -> {
                    LOG.info("stops after the iteration under way");
                    stop.run();
                    await(closed, "the iteration under way did not end");
                },
                "finetuning-stop");
        Runtime.getRuntime().addShutdownHook(hook);
    }

    private static void await(CountDownLatch latch, String otherwise) {
        try {
            if (!latch.await(LONGEST_WAIT_SECONDS, TimeUnit.SECONDS)) {
                LOG.warn("{} within {} s", otherwise, LONGEST_WAIT_SECONDS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        closed.countDown();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            LOG.debug("the JVM is ending", e);
            await(never, "the JVM did not end");
        }
    }
}
