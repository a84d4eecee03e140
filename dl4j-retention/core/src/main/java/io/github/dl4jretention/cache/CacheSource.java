package io.github.dl4jretention.cache;

import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherException;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.List;
import java.util.function.Supplier;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

/**
 * Whose values a cache holds.
 *
 * @param sha256  the teacher's identity
 * @param outputs their names
 * @param trims   whether padding may be left out: not for networks that do not know masks
 * @param teacher asked for when the first sequence is missing
 * @param letGo   frees a teacher that the cache has made
 */
record CacheSource(String sha256, List<String> outputs, boolean trims, Supplier<Teacher> teacher, Runnable letGo) {

    /** @throws IllegalArgumentException if its values don't follow from the features alone, or are no network's own */
    static CacheSource of(Teacher teacher) {
        if (!teacher.dependsOnFeaturesOnly()) {
            throw new IllegalArgumentException(
                    "teacher: expected one whose values follow from the features alone, got a "
                            + teacher.getClass().getSimpleName()
                            + "; a corrected teacher is made of the cache, cache.corrected(tau), a moving average cannot be "
                            + "cached");
        }
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException("teacher: expected one that gives whole distributions, got samples");
        }
        if (!teacher.encoding().isEmpty()) {
            throw new IllegalArgumentException("teacher: expected one that gives its network's own values, got one of "
                    + "values from a cache, " + teacher.encoding());
        }
        List<TeacherOutput> outputs = teacher.outputs();
        return new CacheSource(
                teacher.sha256(),
                outputs.stream().map(TeacherOutput::name).toList(),
                outputs.stream().noneMatch(output -> output.classAxis() < 0),
                () -> teacher,
                () -> {});
    }

    static CacheSource of(MultiLayerNetwork pretrained) {
        return of(NetworkIdentity.sha256(pretrained), List.of("output"), () -> Teacher.of(pretrained));
    }

    static CacheSource of(ComputationGraph pretrained, String... outputs) {
        List<String> names = outputs.length == 0 ? pretrained.getConfiguration().getNetworkOutputs() : List.of(outputs);
        return of(NetworkIdentity.sha256(pretrained), List.copyOf(names), () -> Teacher.of(pretrained, outputs));
    }

    private static CacheSource of(String identity, List<String> outputs, Supplier<Teacher> maker) {
        Once once = new Once(identity, maker);
        return new CacheSource(identity, outputs, true, once, once::close);
    }

    /** A teacher that is made when it's needed, and made again once it was closed. */
    private static final class Once implements Supplier<Teacher>, AutoCloseable {

        private final String identity;
        private final Supplier<Teacher> maker;
        private @Nullable Teacher made;

        Once(String identity, Supplier<Teacher> maker) {
            this.identity = identity;
            this.maker = maker;
        }

        @Override
        public synchronized Teacher get() {
            if (made == null) {
                Teacher teacher = maker.get();
                // The network is the user's, who may have trained it since.
                if (!teacher.sha256().equals(identity)) {
                    throw new TeacherException("pretrained: expected the network as the cache was given it, teacher "
                            + identity + " (SHA-256), got teacher " + teacher.sha256()
                            + "; finetune a copy, as Retention.attach makes it");
                }
                made = teacher;
            }
            return made;
        }

        @Override
        public synchronized void close() {
            if (made != null) {
                made.close();
                made = null;
            }
        }
    }
}
