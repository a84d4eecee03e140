package io.github.dl4jretention;

import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.checkpoint.Provenance;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.cpu.nativecpu.bindings.Nd4jCpu;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * How many copies of the parameters there are while something is made, by ND4J's own count of its arrays' memory, which
 * neither Java's heap nor a busy machine changes. A copy is 128 MB; half of one more is allowed for all else. A garbage
 * collection on the way makes the count smaller, so nothing asks for more than there is.
 */
class ParameterCopiesTest {

    private static final int WIDTH = 2048;
    private static final int LAYERS = 8;
    private static final double COPY = 4.0 * WIDTH * WIDTH * LAYERS;
    private static final double MORE = 0.5;
    private static final long NO_LIMIT = 0;

    @TempDir
    private Path folder;

    private static MultiLayerNetwork network(long seed) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(seed)
                .weightInit(WeightInit.UNIFORM)
                .updater(new Adam(1e-4))
                .list();
        for (int i = 0; i < LAYERS; i++) {
            layers.layer(new DenseLayer.Builder()
                    .nIn(WIDTH)
                    .nOut(WIDTH)
                    .activation(Activation.TANH)
                    .build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(WIDTH)
                        .nOut(5)
                        .activation(Activation.SOFTMAX)
                        .build())
                .build());
        network.init();
        return network;
    }

    /** What is made, and how it's freed. */
    private interface Maker {
        AutoCloseable make() throws Exception;
    }

    private static AutoCloseable closing(MultiLayerNetwork network) {
        return () -> {
            network.params().close();
            if (network.getUpdater(false) != null) {
                network.getUpdater(false).getStateViewArray().close();
            }
            if (network.getGradientsViewArray() != null) {
                network.getGradientsViewArray().close();
            }
        };
    }

    /** Bytes of all arrays' native memory, as ND4J counts them. */
    private static long allocated() {
        return Nd4jCpu.Environment.getInstance().getDeviceCounter(0);
    }

    /** Once what nobody needs is gone. */
    private static long settled() throws InterruptedException {
        long count;
        do {
            count = allocated();
            System.gc();
            Thread.sleep(100);
        } while (allocated() < count);
        return count;
    }

    /**
     * When it's made and when that is closed, in copies beyond what there was; ND4J allows no more than the peak while it's
     * made.
     */
    private static void requireCopies(String what, double peak, double held, Maker maker) throws Exception {
        long before = settled();
        Nd4j.getEnvironment().setDeviceLimit(0, before + (long) ((peak + MORE) * COPY));
        AutoCloseable made;
        try {
            made = maker.make();
        } catch (Exception | Error e) {
            throw new AssertionError(what + ": expected at most " + peak + " copies at its peak", e);
        } finally {
            Nd4j.getEnvironment().setDeviceLimit(0, NO_LIMIT);
        }
        double after = (allocated() - before) / COPY;
        made.close();
        double left = (allocated() - before) / COPY;
        String copies = "%s: %.2f copies held, %.2f left".formatted(what, after, left);
        assertTrue(after < held + MORE && left < MORE, copies);
    }

    @Test
    void nothing_holds_more_copies_than_it_gives_and_what_it_holds_is_freed_at_once() throws Exception {
        MultiLayerNetwork network = network(1);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        DataSet batch = new DataSet(Nd4j.rand(DataType.FLOAT, 4, WIDTH), Nd4j.createFromArray(new float[][] {
            {1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 0, 0, 0, 1}
        }));
        INDArray features = batch.getFeatures();
        assertTrue(allocated() >= COPY, allocated() + " bytes");
        // Classes are loaded, and threads of BLAS have their memory.
        network.output(features);
        try (Teacher warm = Teacher.ofHalf(network)) {
            warm.logProbabilities(features, null);
        }

        requireCopies("Teacher.of", 1, 1, () -> asked(Teacher.of(network), features));
        // Half of one, and one of eight layers widened.
        requireCopies("Teacher.ofHalf", 0.63, 0.63, () -> asked(Teacher.ofHalf(network), features));
        requireCopies("withUpdater", 1, 1, () -> closing(Retention.withUpdater(network, new Adam(1e-4))));
        requireCopies("attach", 1, 1, () -> closing(Retention.attach(network, conf)));
        MultiLayerNetwork student = Retention.attach(network, conf);
        requireCopies("detach", 1, 1, () -> closing(Retention.detach(student)));
        // And of the largest parameter, an eighth of all, a copy and one in DOUBLE.
        requireCopies(
                "merge",
                1.38,
                1,
                () -> closing(Merge.networks(MergeMethod.linear())
                        .models(List.of(network, network))
                        .merge()));
        Provenance provenance = Provenance.of(student, "", 1);
        requireCopies("write", 0, 0, () -> {
            provenance.write(student, folder.resolve("student.zip"));
            return () -> {};
        });
        // Not by a garbage collection, while the next ones are counted.
        closing(student).close();
        try (Teacher teacher = Teacher.ofHalf(network)) {
            // The gradients and Adam's two moments, beside the student itself.
            MultiLayerNetwork near = Retention.attach(network, conf, teacher);
            requireCopies("run", 3, 3, () -> {
                MultiLayerNetwork tuned = run(near, teacher, batch, 1);
                assertSame(near, tuned);
                return closing(tuned);
            });
            // What it picks up from, with the gradients that DL4J's updater comes with, then stands in for the student.
            MultiLayerNetwork again = Retention.attach(network, conf, teacher);
            requireCopies("resumed run", 4, 3, () -> closing(run(again, teacher, batch, 2)));
            assertTrue(again.params().wasClosed());
            MultiLayerNetwork other = Retention.attach(network, conf, teacher);
            requireCopies("refused run", 4, 0, () -> {
                // It has finished two epochs.
                assertThrows(IllegalStateException.class, () -> run(other, teacher, batch, 1));
                return closing(other);
            });
        }
    }

    private static AutoCloseable asked(Teacher teacher, INDArray features) {
        teacher.logProbabilities(features, null).close();
        return teacher;
    }

    private MultiLayerNetwork run(MultiLayerNetwork student, Teacher teacher, DataSet batch, int epochs)
            throws Exception {
        return FinetuningRun.builder()
                .student(student)
                .keepStudent(false)
                .teacher(teacher)
                .iterator(new ExistingDataSetIterator(List.of(batch)))
                .folder(folder.resolve("run"))
                .epochs(epochs)
                .build()
                .run();
    }
}
