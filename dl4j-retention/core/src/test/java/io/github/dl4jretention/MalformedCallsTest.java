package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * Malformed calls of fit through the teacher's iterators, for every kind of model: each is refused by name, with what
 * was expected and the shape that was found, and changes nothing; the next good batch trains.
 */
class MalformedCallsTest {

    /** 23 flaws or more, in three data types: above 1,000 batches for each kind of model. */
    private static final int ROUNDS = 15;

    private static final int V = Networks.VOCABULARY;
    private static final int BATCH = 3;
    private static final int TIME = Networks.TIME;
    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    /** What is wrong. */
    private enum Flaw {
        FEATURES_MISSING,
        FEATURES_EMPTY,
        FEATURES_SIZE,
        FEATURES_RANK,
        FEATURES_TIME,
        FEATURES_BATCH,
        FEATURES_NOT_FINITE,
        FEATURES_MASK_SHAPE,
        FEATURES_MASK_WEIGHT,
        LABELS_MISSING,
        LABELS_EMPTY,
        LABELS_TYPE,
        LABELS_SIZE,
        LABELS_RANK,
        LABELS_TIME,
        LABELS_BATCH,
        CLASS_ID_OUT_OF_RANGE,
        CLASS_ID_OF_NO_NUMBER,
        NEGATIVE_PROBABILITY,
        PROBABILITY_NOT_FINITE,
        LABELS_MASK_SHAPE,
        LABELS_MASK_WEIGHT,
        TEACHER_OF_ANOTHER_VOCABULARY,
        TEACHER_NOT_FINITE,
        ANOTHER_TEACHER;

        /** SameDiff graphs have no features masks. */
        static final Set<Flaw> NOT_OF_SAME_DIFF = EnumSet.of(FEATURES_MASK_SHAPE, FEATURES_MASK_WEIGHT);

        static final Set<Flaw> OF_LABELS_MASK = EnumSet.of(LABELS_MASK_SHAPE, LABELS_MASK_WEIGHT);
    }

    /** A batch of networks, {@code [batch, classes, time]}; arrays may be missing. */
    private static final class Batch {

        private INDArray features;
        private INDArray labels;
        private INDArray featuresMask;
        private INDArray labelsMask;

        private Batch(DataType type, Random random) {
            features = Networks.normal(type, random, BATCH, Networks.INPUTS, TIME);
            labels = Networks.oneHot(type, BATCH, TIME, random);
            labelsMask = Nd4j.ones(type, BATCH, TIME);
        }
    }

    /** One kind of model, as a student of some teacher. */
    private interface Trainee {
        void fit(Batch batch, Teacher teacher);

        INDArray params();

        int iterations();
    }

    private record Network(MultiLayerNetwork student) implements Trainee {
        @Override
        public void fit(Batch batch, Teacher teacher) {
            DataSet data = new DataSet(batch.features, batch.labels, batch.featuresMask, batch.labelsMask);
            student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher));
        }

        @Override
        public INDArray params() {
            return student.params();
        }

        @Override
        public int iterations() {
            return student.getIterationCount();
        }
    }

    private record Graph(ComputationGraph student) implements Trainee {
        @Override
        public void fit(Batch batch, Teacher teacher) {
            student.fit(taught(
                    new MultiDataSet(
                            arrays(batch.features),
                            arrays(batch.labels),
                            arrays(batch.featuresMask),
                            arrays(batch.labelsMask)),
                    teacher));
        }

        @Override
        public INDArray params() {
            return student.params();
        }

        @Override
        public int iterations() {
            return student.getIterationCount();
        }
    }

    /** Classes last; the labels mask is an array of labels. */
    private record SameDiffGraph(SameDiff student) implements Trainee {
        @Override
        public void fit(Batch batch, Teacher teacher) {
            INDArray[] labels = batch.labels == null ? null : new INDArray[] {last(batch.labels), batch.labelsMask};
            student.fit(taught(new MultiDataSet(arrays(last(batch.features)), labels), teacher), 1);
        }

        private static INDArray last(INDArray array) {
            return array == null || array.rank() != 3 || array.isEmpty()
                    ? array
                    : array.permute(0, 2, 1).dup('c');
        }

        @Override
        public INDArray params() {
            return Nd4j.concat(
                    0,
                    student.getVariable("w").getArr().reshape(-1),
                    student.getVariable("v").getArr().reshape(-1));
        }

        @Override
        public int iterations() {
            return student.getTrainingConfig().getIterationCount();
        }
    }

    private static INDArray[] arrays(INDArray array) {
        return array == null ? null : new INDArray[] {array};
    }

    private static TeacherMultiDataSetIterator taught(MultiDataSet batch, Teacher teacher) {
        return new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher);
    }

    private static MultiLayerNetwork network(DataType type, long seed, int vocabulary) {
        return Networks.stacked(
                type,
                seed,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(7).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(7)
                        .nOut(vocabulary)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
    }

    private static SameDiff graph(DataType type, long seed, int vocabulary) {
        Random random = new Random(seed);
        SameDiff sd = SameDiff.create();
        SDVariable w = sd.var("w", Networks.normal(type, random, Networks.INPUTS, 7));
        SDVariable v = sd.var("v", Networks.normal(type, random, 7, vocabulary));
        SDVariable features = sd.placeHolder("features", type, -1, -1, Networks.INPUTS);
        SDVariable logits =
                sd.math.tanh(features.reshape(-1, Networks.INPUTS).mmul(w)).mmul(v);
        logits.reshape(-1, TIME, vocabulary).rename("logits");
        sd.placeHolder("labels", type, -1, -1, -1);
        sd.placeHolder("weights", type, -1, -1);
        return sd;
    }

    private enum Kind {
        NETWORK,
        GRAPH,
        SAME_DIFF;

        Teacher teacher(DataType type, long seed, int vocabulary) {
            return switch (this) {
                case NETWORK -> Teacher.of(network(type, seed, vocabulary));
                case GRAPH -> Teacher.of(network(type, seed, vocabulary).toComputationGraph());
                case SAME_DIFF -> Teacher.of(graph(type, seed, vocabulary), "logits", "features");
            };
        }

        Teacher teacherOfNoNumbers(DataType type) {
            MultiLayerNetwork broken = network(type, 1, V);
            broken.params().putScalar(3, Double.NaN);
            SameDiff graph = graph(type, 1, V);
            graph.getVariable("v").getArr().putScalar(3, Double.POSITIVE_INFINITY);
            return switch (this) {
                case NETWORK -> Teacher.of(broken);
                case GRAPH -> Teacher.of(broken.toComputationGraph());
                case SAME_DIFF -> Teacher.of(graph, "logits", "features");
            };
        }

        Trainee student(DataType type, Teacher teacher) {
            MultiLayerNetwork network = network(type, 1, V);
            return switch (this) {
                case NETWORK -> new Network(
                        Retention.withUpdater(Retention.attach(network, CONF, teacher), new Sgd(0.01)));
                case GRAPH -> new Graph(Retention.withUpdater(
                        Retention.attach(network.toComputationGraph(), CONF, teacher), new Sgd(0.01)));
                case SAME_DIFF -> {
                    SameDiff student = graph(type, 1, V);
                    RetentionLoss.add(student, "logits", "labels", "weights", null, CONF);
                    RetentionLoss.bind(student, teacher.sha256());
                    student.setTrainingConfig(TrainingConfig.builder()
                            .updater(new Sgd(0.01))
                            .dataSetFeatureMapping("features")
                            .dataSetLabelMapping("labels", "weights", RetentionLoss.TEACHER_LOGITS)
                            .build());
                    student.setListeners(new RetentionListener());
                    yield new SameDiffGraph(student);
                }
            };
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_thousand_are_refused_and_change_nothing(Kind kind) {
        Random random = new Random(20261103);
        int calls = 0;
        for (DataType type : List.of(DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16)) {
            Teacher own = kind.teacher(type, 1, V);
            Trainee student = kind.student(type, own);
            for (Flaw flaw : Flaw.values()) {
                if (kind == Kind.SAME_DIFF && Flaw.NOT_OF_SAME_DIFF.contains(flaw)) {
                    continue;
                }
                for (int round = 0; round < ROUNDS; round++) {
                    Batch batch = new Batch(type, random);
                    Teacher teacher = teacher(kind, type, flaw, own, random);
                    boolean foreign = flaw == Flaw.TEACHER_OF_ANOTHER_VOCABULARY || flaw == Flaw.TEACHER_NOT_FINITE;
                    Trainee trainee = foreign ? kind.student(type, teacher) : student;
                    String found = spoil(batch, flaw, random);
                    if (round % 2 == 1 && kind != Kind.SAME_DIFF && !Flaw.OF_LABELS_MASK.contains(flaw)) {
                        batch.labelsMask = null;
                    }
                    assertRefused(trainee, batch, teacher, flaw, found, type + " " + kind + ", " + flaw + ": ");
                    calls++;
                }
                int iterations = student.iterations();
                student.fit(new Batch(type, random), own);
                assertEquals(iterations + 1, student.iterations());
            }
        }
        assertTrue(calls > 1000, "calls " + calls);
    }

    private static void assertRefused(
            Trainee trainee, Batch batch, Teacher teacher, Flaw flaw, String found, String what) {
        INDArray before = trainee.params().dup();
        int iterations = trainee.iterations();
        try {
            trainee.fit(batch, teacher);
            fail(what + "trained");
        } catch (IllegalArgumentException | IllegalStateException refused) {
            String message = what + refused.getMessage();
            assertEquals(flaw == Flaw.ANOTHER_TEACHER, refused instanceof IllegalStateException, message);
            assertTrue(message.contains("expected") || message.contains("belongs to teacher"), message);
            assertTrue(message.contains(found), message + " without " + found);
        }
        assertClose(before, trainee.params(), 0, what);
        assertEquals(iterations, trainee.iterations());
    }

    private static Teacher teacher(Kind kind, DataType type, Flaw flaw, Teacher own, Random random) {
        return switch (flaw) {
            case TEACHER_OF_ANOTHER_VOCABULARY -> kind.teacher(type, 2, otherThan(V, 1, random));
            case TEACHER_NOT_FINITE -> kind.teacherOfNoNumbers(type);
            case ANOTHER_TEACHER -> kind.teacher(type, 9, V);
            default -> own;
        };
    }

    /** @return what the message must contain: the shape of the array that is wrong, in the order of its sizes */
    private static String spoil(Batch batch, Flaw flaw, Random random) {
        int b = random.nextInt(BATCH);
        int t = random.nextInt(TIME);
        int v = random.nextInt(V);
        double noNumber = List.of(Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY)
                .get(random.nextInt(3));
        switch (flaw) {
            case FEATURES_MISSING -> batch.features = null;
            case FEATURES_EMPTY -> batch.features =
                    random.nextBoolean() ? empty(0, Networks.INPUTS, TIME) : empty(BATCH, Networks.INPUTS, 0);
            case FEATURES_SIZE -> batch.features =
                    Networks.normal(DataType.FLOAT, random, BATCH, other(Networks.INPUTS, random), TIME);
            case FEATURES_RANK -> batch.features = random.nextBoolean()
                    ? Networks.normal(DataType.FLOAT, random, BATCH, Networks.INPUTS)
                    : Networks.normal(DataType.FLOAT, random, BATCH, Networks.INPUTS, TIME, 1);
            case FEATURES_TIME -> batch.features =
                    Networks.normal(DataType.FLOAT, random, BATCH, Networks.INPUTS, other(TIME, random));
            case FEATURES_BATCH -> batch.features =
                    Networks.normal(DataType.FLOAT, random, other(BATCH, random), Networks.INPUTS, TIME);
            case FEATURES_NOT_FINITE -> batch.features.putScalar(
                    new int[] {b, random.nextInt(Networks.INPUTS), t}, Double.NaN);
            case FEATURES_MASK_SHAPE -> batch.featuresMask = switch (random.nextInt(3)) {
                case 0 -> Nd4j.ones(BATCH, otherThan(TIME, Networks.INPUTS, random));
                case 1 -> Nd4j.ones(other(BATCH, random), TIME);
                default -> Nd4j.ones(BATCH * TIME);
            };
            case FEATURES_MASK_WEIGHT -> batch.featuresMask =
                    Nd4j.ones(BATCH, TIME).putScalar(b, t, noNumber);
            case LABELS_MISSING -> batch.labels = null;
            case LABELS_EMPTY -> batch.labels = random.nextBoolean() ? empty(0, V, TIME) : empty(BATCH, V, 0);
            case LABELS_TYPE -> batch.labels = batch.labels.castTo(DataType.BOOL);
            case LABELS_SIZE -> batch.labels = Nd4j.zeros(BATCH, otherThan(V, 1, random), TIME);
            case LABELS_RANK -> batch.labels =
                    random.nextBoolean() ? Nd4j.zeros(BATCH * TIME, V) : Nd4j.zeros(BATCH, V, TIME, 1);
            case LABELS_TIME -> batch.labels = Nd4j.zeros(BATCH, V, other(TIME, random));
            case LABELS_BATCH -> batch.labels = Nd4j.zeros(other(BATCH, random), V, TIME);
            case CLASS_ID_OUT_OF_RANGE -> batch.labels = Nd4j.zeros(BATCH, 1, TIME)
                    .putScalar(
                            new int[] {b, 0, t},
                            random.nextBoolean() ? V + random.nextInt(1000) : -1 - random.nextInt(1000));
            case CLASS_ID_OF_NO_NUMBER -> batch.labels = Nd4j.zeros(BATCH, 1, TIME)
                    .putScalar(new int[] {b, 0, t}, random.nextBoolean() ? noNumber : random.nextInt(V - 1) + 0.5);
            case NEGATIVE_PROBABILITY -> batch.labels.putScalar(new int[] {b, v, t}, -random.nextDouble() - 1e-3);
            case PROBABILITY_NOT_FINITE -> batch.labels.putScalar(new int[] {b, v, t}, noNumber);
            case LABELS_MASK_SHAPE -> batch.labelsMask = switch (random.nextInt(3)) {
                case 0 -> Nd4j.ones(BATCH, otherThan(TIME, 1, random));
                case 1 -> Nd4j.ones(other(BATCH, random), TIME);
                default -> Nd4j.ones(BATCH * TIME);
            };
            case LABELS_MASK_WEIGHT -> batch.labelsMask.putScalar(b, t, random.nextBoolean() ? noNumber : -0.5);
            default -> {}
        }
        INDArray wrong =
                switch (flaw) {
                    case FEATURES_EMPTY, FEATURES_RANK -> batch.features;
                    case FEATURES_MASK_SHAPE, FEATURES_MASK_WEIGHT -> batch.featuresMask;
                    case LABELS_MASK_SHAPE -> batch.labelsMask;
                    default -> null;
                };
        return wrong == null ? "" : Arrays.toString(wrong.shape());
    }

    private static INDArray empty(long... shape) {
        return Nd4j.create(DataType.FLOAT, shape);
    }

    private static int other(int size, Random random) {
        int found = 1 + random.nextInt(2 * size);
        return found == size ? size + 1 : found;
    }

    private static int otherThan(int size, int also, Random random) {
        int found;
        do {
            found = other(size, random);
        } while (found == also);
        return found;
    }
}
