package io.github.dl4jretention.internal;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/** A thread that helps whoever asks first. */
final class Helper extends Thread {

    private final AtomicReference<SharedWork> current = new AtomicReference<>();

    Helper(int index) {
        super("dl4j-retention-helper-" + index);
        setDaemon(true);
        setContextClassLoader(Helper.class.getClassLoader());
    }

    /** {@return whether it was free, and helps} */
    boolean take(SharedWork work) {
        boolean free = current.compareAndSet(null, work);
        if (free) {
            LockSupport.unpark(this);
        }
        return free;
    }

    @Override
    public void run() {
        while (true) {
            SharedWork.waitFor(() -> current.get() != null);
            Objects.requireNonNull(current.get()).help();
            current.set(null);
        }
    }
}
