package io.github.dl4jretention.spark;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.broadcast.Broadcast;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/**
 * One round of a worker: some minibatches from where all workers begin.
 *
 * @param common    what all rounds share
 * @param state     parameters and updater state where the round begins, as {@link #write} writes them
 * @param first     minibatch of the worker
 * @param steps     how many, at most
 * @param iteration that were trained before
 * @param epoch     from 0
 */
record TrainingRound(Common common, Broadcast<ByteChunks> state, long first, int steps, int iteration, int epoch)
        implements PartitionCall<byte[], RoundSum> {

    private static final long SEED_STEP = 0x9E3779B97F4A7C15L;

    /**
     * What all rounds of a training share.
     *
     * @param network    the pretrained one
     * @param retention  the loss
     * @param factory    of the teacher; null for the pretrained network
     * @param divergence which tokens are held near the teacher
     * @param seed       of dropout
     */
    record Common(
            SharedNetwork network,
            RetentionConfiguration retention,
            @Nullable TeacherFactory factory,
            DivergenceMask divergence,
            long seed)
            implements java.io.Serializable {

        /** The executor's teacher, and its students that no task uses. */
        Bench bench() throws Exception {
            return SharedObjects.get(network.id(), () -> {
                Teacher pretrained = Teacher.of(network.network());
                return new Bench(
                        factory == null ? pretrained : factory.create(pretrained), new ConcurrentLinkedQueue<>());
            });
        }
    }

    record Bench(Teacher teacher, Queue<MultiLayerNetwork> students) {}

    /** @param state of the updater; null or empty if it has none */
    static void write(INDArray params, @Nullable INDArray state, DataOutputStream out) throws IOException {
        ArrayStream.write(params, out);
        if (state == null || state.length() == 0) {
            out.writeBoolean(false);
        } else {
            out.writeBoolean(true);
            ArrayStream.write(state, out);
        }
        out.flush();
    }

    @Override
    public RoundSum call(int worker, Iterator<byte[]> all) throws Exception {
        List<DataSet> batches = new ArrayList<>();
        for (long at = 0; at < first + steps && all.hasNext(); at++) {
            byte[] bytes = all.next();
            if (at >= first) {
                DataSet batch = new DataSet();
                batch.load(new ByteArrayInputStream(bytes));
                batches.add(batch);
            }
        }
        if (batches.isEmpty()) {
            return RoundSum.none();
        }
        Bench bench = common.bench();
        MultiLayerNetwork student = bench.students().poll();
        if (student == null) {
            student = Retention.attach(common.network().network(), common.retention(), bench.teacher());
        }
        begin(student);
        RoundSum sum = train(student, bench.teacher(), batches, worker);
        bench.students().add(student);
        return sum;
    }

    private void begin(MultiLayerNetwork student) throws IOException {
        try (DataInputStream in = new DataInputStream(state.value().stream())) {
            try (INDArray params = ArrayStream.readArray(in, Long.MAX_VALUE)) {
                student.params().assign(params);
            }
            if (in.readBoolean()) {
                try (INDArray updater = ArrayStream.readArray(in, Long.MAX_VALUE)) {
                    student.getUpdater().getStateViewArray().assign(updater);
                }
            }
        }
        student.setIterationCount(iteration);
        student.setEpochCount(epoch);
    }

    private RoundSum train(MultiLayerNetwork student, Teacher teacher, List<DataSet> batches, int worker) {
        double crossEntropy = 0;
        double divergence = 0;
        int step = iteration;
        RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) student.getOutputLayer();
        long taughtBefore = head.layerConf().getTaughtMinibatches();
        try (TeacherIterator taught =
                new TeacherIterator(new ExistingDataSetIterator(batches), teacher, common.divergence())) {
            while (taught.hasNext()) {
                step++;
                Nd4j.getRandom().setSeed(common.seed() + SEED_STEP * step + worker);
                student.fit(taught.next());
                TokenLoss loss = Objects.requireNonNull(head.lastTokenLoss());
                crossEntropy += loss.crossEntropy();
                divergence += loss.divergence();
            }
        }
        INDArray updater = student.getUpdater().getStateViewArray();
        return new RoundSum(
                1,
                batches.size(),
                flat(student.params()),
                updater == null || updater.length() == 0 ? null : flat(updater),
                crossEntropy,
                divergence,
                batches.size(),
                head.layerConf().getTaughtMinibatches() - taughtBefore,
                "");
    }

    private static double[] flat(INDArray array) {
        try (INDArray copy = array.dup('c')) {
            return copy.reshape(copy.length()).toDoubleVector();
        }
    }
}
