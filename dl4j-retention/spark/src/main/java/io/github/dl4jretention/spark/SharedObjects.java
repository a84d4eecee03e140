package io.github.dl4jretention.spark;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;

/**
 * What all tasks of an executor share, such as a teacher. The last two are kept: of the work that goes on, and of what
 * may run beside it. Others are left to the garbage collector, for a task may still use them.
 */
final class SharedObjects {

    private static final int KEPT = 2;
    private static final Map<String, Once<?>> OBJECTS = new LinkedHashMap<>(KEPT + 1, 1, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Once<?>> eldest) {
            return size() > KEPT;
        }
    };

    private SharedObjects() {}

    /**
     * {@return the object of a key}
     *
     * @param maker is called once, even if several tasks ask at once; again after it has thrown
     */
    @SuppressWarnings("unchecked")
    static <T> T get(String key, Callable<T> maker) throws Exception {
        Once<T> once;
        synchronized (OBJECTS) {
            once = (Once<T>) OBJECTS.computeIfAbsent(key, k -> new Once<T>());
        }
        return once.get(maker);
    }

    private static final class Once<T> {

        private @Nullable T made;

        synchronized T get(Callable<T> maker) throws Exception {
            T object = made;
            if (object == null) {
                object = maker.call();
                made = object;
            }
            return object;
        }
    }
}
