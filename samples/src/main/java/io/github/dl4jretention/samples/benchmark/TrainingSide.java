package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/** What is compared: a network trained by plain DL4J, and ways to train it with retention. */
public enum TrainingSide {
    /** DL4J with its own output layer. */
    PLAIN {
        @Override
        public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) {
            return new Training(base.clone(), RandomTokens.endless(batches), false);
        }
    },
    /** The retention layer at coefficient 0, without a teacher. */
    ZERO {
        @Override
        public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) {
            RetentionConfiguration zero =
                    RetentionConfiguration.builder().coefficient(0).build();
            return new Training(Retention.attach(base, zero), RandomTokens.endless(batches), false);
        }
    },
    /** Coefficient 1, the teacher is asked for every batch. */
    ONLINE {
        @Override
        public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) {
            return taught(base, batches, Teacher.of(base), true);
        }
    },
    /** As {@link #ONLINE}, but the teacher is asked between two steps instead of beside them. */
    ONLINE_IN_TURN {
        @Override
        public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) {
            return taught(base, batches, Teacher.of(base), false);
        }
    },
    /** Coefficient 1, the teacher's values come from a cache of the default codec. */
    CACHED {
        @Override
        public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) throws IOException {
            TeacherCache cached = TeacherCache.builder()
                    .pretrained(base)
                    .folder(cache)
                    .data("random tokens")
                    .build(RandomTokens.once(batches));
            return taught(base, batches, cached, true);
        }
    };

    /**
     * Sets a training up.
     *
     * @param base    the pretrained network, which stays as it is
     * @param batches to train on, again and again
     * @param cache   folder of the teacher's cache, written if it lacks these batches
     */
    public abstract Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) throws IOException;

    /** The side's name in tables and on the command line. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    private static Training taught(MultiLayerNetwork base, List<DataSet> batches, Teacher teacher, boolean prefetch) {
        TeacherIterator taught = new TeacherIterator(RandomTokens.endless(batches), teacher)
                .setReleaseLabels(true)
                .setPrefetch(prefetch);
        MultiLayerNetwork student =
                Retention.attach(base, RetentionConfiguration.builder().build());
        return new Training(student, taught, prefetch);
    }
}
