package io.github.dl4jretention.spark;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.Locale;
import java.util.Objects;
import java.util.UUID;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.storage.StorageLevel;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Tuple2;

/**
 * Finetunes one model on several executors by synchronous parameter averaging, with the teacher on each executor.
 *
 * <pre>{@code
 * MultiLayerNetwork student = SparkFinetuning.on(sparkContext, pretrained)
 *         .configuration(RetentionConfiguration.builder().coefficient(1).build())
 *         .workers(8)
 *         .averagingFrequency(10)
 *         .fit(batches, 3);
 * MultiLayerNetwork tuned = Retention.detach(student);
 * }</pre>
 *
 * <p>In each round every worker trains on {@code averagingFrequency} minibatches from where all begin; then parameters and
 * updater states are replaced by their means over the workers that trained, as in DL4J's
 * ParameterAveragingTrainingMaster:
 *
 * <pre>
 * w(r + 1) = 1/n sum_i w_i(r),   u(r + 1) = 1/n sum_i u_i(r)
 * </pre>
 *
 * <p>Minibatch j is worker j mod n's. With one worker this is {@code student.fit(new TeacherIterator(...), epochs)}, bit
 * for bit if there is no dropout, whose random numbers follow from the seed, the step and the worker here. With n
 * workers, averaging every step and Sgd it's a step on the n minibatches joined, if they have the same number of
 * examples. With other updaters, or averaging less often, it isn't: it is local SGD, which docs/spark.md measures.
 *
 * <p>If an executor is lost, Spark runs its part of the round again elsewhere: a round follows from what it began with.
 * MultiLayerNetworks only. Source of the averaging: McDonald et al., Distributed Training Strategies for the Structured
 * Perceptron, 2010, "iterative parameter mixing".
 */
public final class SparkFinetuning {

    private static final Logger LOG = LoggerFactory.getLogger(SparkFinetuning.class);

    /** DL4J's default. */
    private static final int AVERAGING_FREQUENCY = 5;

    private final Cluster cluster;
    private final MultiLayerNetwork pretrained;
    private RetentionConfiguration configuration =
            RetentionConfiguration.builder().build();
    private int workers;
    private int averagingFrequency = AVERAGING_FREQUENCY;
    private long seed;
    private DivergenceMask divergenceMask = DivergenceMask.LABEL_MASK;
    private @Nullable TeacherFactory teacher;

    private SparkFinetuning(JavaSparkContext spark, MultiLayerNetwork pretrained) {
        this.cluster = new Cluster(spark);
        this.pretrained = Objects.requireNonNull(pretrained, "pretrained");
        this.workers = cluster.slots();
    }

    /**
     * {@return a finetuning with the defaults: the default loss, a worker for each core, averaging every 5 minibatches, seed
     * 0, and the pretrained network as the teacher}
     *
     * @param spark      the cluster; stays open
     * @param pretrained with the updater to train with, see {@link Retention#withUpdater}; isn't changed
     */
    public static SparkFinetuning on(JavaSparkContext spark, MultiLayerNetwork pretrained) {
        return new SparkFinetuning(Objects.requireNonNull(spark, "spark"), pretrained);
    }

    /**
     * Sets the loss.
     *
     * @param conf with a coefficient that is a number or a schedule, for each worker would steer an adaptive one by its own
     *     minibatches
     * @return this
     * @throws IllegalArgumentException if the coefficient is adaptive
     */
    public SparkFinetuning configuration(RetentionConfiguration conf) {
        if (conf.getAdaptive() != null) {
            throw new IllegalArgumentException("coefficient: expected a number or a schedule, got " + conf.getAdaptive()
                    + ": each worker would steer it by its own minibatches; finetune on one machine, or find the number"
                    + " with a SparkSweep");
        }
        configuration = conf;
        return this;
    }

    /** @param count how many train at once, at least 1; default: a worker for each core
     * @return this */
    public SparkFinetuning workers(int count) {
        if (count < 1) {
            throw new IllegalArgumentException("workers: expected at least 1, got " + count);
        }
        workers = count;
        return this;
    }

    /** @param minibatches that each worker trains on between two averages, at least 1; default 5
     * @return this */
    public SparkFinetuning averagingFrequency(int minibatches) {
        if (minibatches < 1) {
            throw new IllegalArgumentException("averagingFrequency: expected at least 1, got " + minibatches);
        }
        averagingFrequency = minibatches;
        return this;
    }

    /** @param number of dropout; default 0
     * @return this */
    public SparkFinetuning seed(long number) {
        seed = number;
        return this;
    }

    /** @param mask which tokens are held near the teacher; default: those of the label mask
     * @return this */
    public SparkFinetuning divergenceMask(DivergenceMask mask) {
        divergenceMask = Objects.requireNonNull(mask, "mask");
        return this;
    }

    /** @param factory of another teacher of the pretrained network's identity, such as a cache; default: the network
     * @return this */
    public SparkFinetuning teacher(TeacherFactory factory) {
        teacher = Objects.requireNonNull(factory, "factory");
        return this;
    }

    /**
     * Trains.
     *
     * @param batches minibatches, without the teacher's values, in an order that stays
     * @param epochs  passes over them, at least 1
     * @return the student with its updater's state; {@link Retention#detach} makes an ordinary network of it
     * @throws IOException              if the network can't be written, or the thread is interrupted
     * @throws IllegalArgumentException if there is no minibatch, or a number is outside of its range
     * @throws IllegalStateException    if a worker can't train; the message names its host
     */
    public MultiLayerNetwork fit(JavaRDD<DataSet> batches, int epochs) throws IOException {
        if (epochs < 1) {
            throw new IllegalArgumentException("epochs: expected at least 1, got " + epochs);
        }
        try {
            cluster.requireSameLibraries();
            return train(batches, epochs);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException interrupted = new InterruptedIOException("training: interrupted before its end");
            interrupted.initCause(e);
            throw interrupted;
        }
    }

    private MultiLayerNetwork train(JavaRDD<DataSet> batches, int epochs) throws IOException, InterruptedException {
        // Where there are several partitions, Spark counts their elements at once.
        JavaPairRDD<DataSet, Long> numbered = cluster.named("finetuning: counting minibatches", batches::zipWithIndex);
        JavaRDD<byte[]> spread = numbered.mapToPair(batch -> new Tuple2<>(batch._2(), bytes(batch._1())))
                .repartitionAndSortWithinPartitions(new ByTurns(workers))
                .values()
                .setName("minibatches of " + workers + " workers")
                .persist(StorageLevel.MEMORY_AND_DISK());
        SharedNetwork network = SharedNetwork.of(cluster, UUID.randomUUID().toString(), pretrained);
        try (Teacher identity = Teacher.of(pretrained)) {
            MultiLayerNetwork student = Retention.attach(pretrained, configuration, identity);
            train(student, spread, network, epochs);
            return student;
        } finally {
            spread.unpersist(false);
            network.file().destroy();
        }
    }

    private void train(MultiLayerNetwork student, JavaRDD<byte[]> spread, SharedNetwork network, int epochs)
            throws IOException, InterruptedException {
        TrainingRound.Common common = new TrainingRound.Common(network, configuration, teacher, divergenceMask, seed);
        for (int epoch = 0; epoch < epochs; epoch++) {
            boolean trained = true;
            for (long first = 0; trained; first += averagingFrequency) {
                trained = round(student, spread, common, first, epoch);
                if (first == 0 && !trained) {
                    throw new IllegalArgumentException("batches: expected at least one, got none");
                }
            }
            student.setEpochCount(student.getEpochCount() + 1);
        }
    }

    private boolean round(
            MultiLayerNetwork student, JavaRDD<byte[]> spread, TrainingRound.Common common, long first, int epoch)
            throws IOException, InterruptedException {
        INDArray state = student.getUpdater().getStateViewArray();
        Broadcast<ByteChunks> begin = cluster.broadcast(
                ByteChunks.of(out -> TrainingRound.write(student.params(), state, new DataOutputStream(out))));
        int iteration = student.getIterationCount();
        try {
            RoundSum sum = cluster.reduce(
                    String.format(
                            Locale.ROOT, "finetuning: epoch %d, minibatches from %d of each worker", epoch + 1, first),
                    spread,
                    new TrainingRound(common, begin, first, averagingFrequency, iteration, student.getEpochCount()));
            if (!sum.refusal().isEmpty()) {
                throw new IllegalStateException(sum.refusal());
            }
            if (sum.params() == null) {
                return false;
            }
            assign(student.params(), sum.params(), sum.workers());
            if (sum.state() != null) {
                assign(state, sum.state(), sum.workers());
            }
            student.setIterationCount(iteration + sum.steps());
            ((RetentionOutputLayerRuntime) student.getOutputLayer()).layerConf().addTaughtMinibatches(sum.taught());
            LOG.info(
                    "epoch {}, step {}: cross-entropy {}, divergence {} nats per token, {} workers",
                    epoch + 1,
                    iteration + sum.steps(),
                    String.format(Locale.ROOT, "%.4f", sum.crossEntropy() / sum.minibatches()),
                    String.format(Locale.ROOT, "%.4f", sum.divergence() / sum.minibatches()),
                    sum.workers());
            return true;
        } finally {
            begin.destroy();
        }
    }

    private static void assign(INDArray view, double[] sum, int workers) {
        double[] mean = new double[sum.length];
        for (int i = 0; i < mean.length; i++) {
            mean[i] = sum[i] / workers;
        }
        try (INDArray array = Nd4j.createFromArray(mean)) {
            view.assign(array.reshape(view.shape()));
        }
    }

    private static byte[] bytes(DataSet batch) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        batch.save(out);
        return out.toByteArray();
    }

    /** Minibatch j is worker j mod n's. */
    private static final class ByTurns extends Partitioner {

        private static final long serialVersionUID = 1L;

        private final int workers;

        ByTurns(int workers) {
            this.workers = workers;
        }

        @Override
        public int numPartitions() {
            return workers;
        }

        @Override
        public int getPartition(Object number) {
            return (int) ((Long) number % workers);
        }
    }
}
