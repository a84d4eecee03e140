package io.github.dl4jretention.samples.console;

import java.util.function.Supplier;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** Progress of one task: a bar on a terminal, a plain line every tenth of the way elsewhere. */
public final class Progress implements AutoCloseable {

    private static final int PLAIN_LINES = 10;

    private final String task;
    private long total;
    private final @Nullable ProgressBar bar;
    private final long started = System.nanoTime();
    private long done;

    /**
     * @param task  what is done, for the reader
     * @param total number of steps
     */
    public Progress(String task, long total) {
        this.task = task;
        this.total = total;
        this.bar = System.console() == null
                ? null
                : new ProgressBarBuilder()
                        .setTaskName(task)
                        .setInitialMax(total)
                        .setUnit(" steps", 1)
                        .setStyle(ProgressBarStyle.ASCII)
                        .setUpdateIntervalMillis(500)
                        .setConsumer(new ConsoleProgressBarConsumer(System.err))
                        .build();
    }

    /**
     * One more step is done.
     *
     * @param message how it goes, asked for only when it is shown
     */
    public void step(Supplier<String> message) {
        done++;
        if (bar != null) {
            bar.setExtraMessage(message.get());
            bar.step();
        } else if (done * PLAIN_LINES / total != (done - 1) * PLAIN_LINES / total) {
            double seconds = (System.nanoTime() - started) / 1e9;
            System.err.printf(
                    "%s: %d of %d steps, %.0f s, %.0f s left, %s%n",
                    task, done, total, seconds, seconds / done * (total - done), message.get());
        }
    }

    /**
     * Some steps are not going to be done.
     *
     * @param steps how many, at least 0
     */
    public void drop(long steps) {
        total = Math.max(1, total - steps);
        if (bar != null) {
            bar.maxHint(total);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
