package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * A run of each kind of model with everything that has a state: Adam, random numbers in training, adaptive
 * coefficients, a moving average, two outputs of the ComputationGraph.
 */
enum Kind {
    MULTI_LAYER_NETWORK,
    COMPUTATION_GRAPH,
    SAME_DIFF;

    static final int BATCHES = 7;

    static final RetentionConfiguration CONF = RetentionConfiguration.builder()
            .coefficient(new AdaptiveCoefficient(1, 0.005, 10, 1))
            .build();

    FinetuningRun.Builder<?> builder(Path folder) {
        return builder(folder, CONF, student -> {});
    }

    /** A student to read checkpoints for. */
    Student<?> student() {
        AtomicReference<Student<?>> made = new AtomicReference<>();
        builder(null, CONF, student -> made.set(of(student)));
        return made.get();
    }

    private static Student<?> of(Object model) {
        if (model instanceof MultiLayerNetwork network) {
            return new MultiLayerStudent(network);
        }
        return model instanceof ComputationGraph graph
                ? new GraphStudent(graph)
                : new SameDiffStudent((SameDiff) model);
    }

    /** @param change of the student before it goes to the run */
    FinetuningRun.Builder<?> builder(Path folder, RetentionConfiguration conf, Consumer<Object> change) {
        Teacher teacher = teacher(1);
        FinetuningRun.Builder<?> builder = FinetuningRun.builder();
        switch (this) {
            case MULTI_LAYER_NETWORK -> {
                MultiLayerNetwork student = Retention.attach(network(1), conf, teacher);
                change.accept(student);
                builder.student(student);
            }
            case COMPUTATION_GRAPH -> {
                ComputationGraph student = Retention.attach(twoTexts(1), conf, teacher);
                change.accept(student);
                builder.student(student);
            }
            case SAME_DIFF -> {
                SameDiff student = sameDiffStudent(conf, teacher);
                change.accept(student);
                builder.student(student);
            }
        }
        return iterator(builder, 0)
                .teacher(teacher)
                .every(3)
                .seed(5)
                .data("random sequences")
                .folder(folder);
    }

    Teacher teacher(long seed) {
        return switch (this) {
            case MULTI_LAYER_NETWORK -> Teacher.movingAverage(network(seed), 0.9);
            case COMPUTATION_GRAPH -> Teacher.weighted(
                    List.of(Teacher.of(twoTexts(seed)), Teacher.movingAverage(twoTexts(seed), 0.9)), 0.25, 0.75);
            case SAME_DIFF -> Teacher.movingAverage(graph(seed, false), 0.9, "logits", "features");
        };
    }

    private static MultiLayerNetwork network(long seed) {
        return Networks.lstm(DataType.FLOAT, seed, LossFunction.MCXENT, 0.8);
    }

    static ComputationGraph twoTexts(long seed) {
        RnnOutputLayer.Builder head = new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(5)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW);
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(seed)
                .updater(new Adam(0.01))
                .graphBuilder()
                .addInputs("in")
                .addLayer(
                        "lstm",
                        new LSTM.Builder()
                                .nIn(Networks.INPUTS)
                                .nOut(5)
                                .dropOut(0.8)
                                .build(),
                        "in")
                .addLayer("a", head.build(), "lstm")
                .addLayer("b", head.build(), "lstm")
                .setOutputs("a", "b")
                .build());
        graph.init();
        return graph;
    }

    static SameDiff sameDiffStudent(RetentionConfiguration conf, Teacher teacher) {
        SameDiff student = graph(1, true);
        RetentionLoss.add(student, "logits", "labels", conf);
        RetentionLoss.bind(student, teacher.sha256());
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(0.02))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        return student;
    }

    /**
     * @param noise whether hidden units are dropped: M2.1's dropout operations have no gradient, a random mask will do
     */
    static SameDiff graph(long seed, boolean noise) {
        Random random = new Random(seed);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.TIME, Networks.INPUTS);
        SDVariable w = sd.var("w", Networks.normal(DataType.FLOAT, random, Networks.INPUTS, 7));
        SDVariable v = sd.var("v", Networks.normal(DataType.FLOAT, random, 7, Networks.VOCABULARY));
        SDVariable hidden = sd.math.tanh(features.reshape(-1, Networks.INPUTS).mmul(w));
        if (noise) {
            hidden = hidden.mul(sd.random.bernoulli(0.8, DataType.FLOAT, 1, 7));
        }
        hidden.mmul(v).reshape(-1, Networks.TIME, Networks.VOCABULARY).rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, Networks.TIME, Networks.VOCABULARY);
        return sd;
    }

    <M> FinetuningRun.Builder<M> iterator(FinetuningRun.Builder<M> builder, long firstSeed) {
        return builder.iterator(iterator(firstSeed));
    }

    MultiDataSetIterator iterator(long firstSeed) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < BATCHES; i++) {
            batches.add(Networks.sequences(DataType.FLOAT, 3, firstSeed + i));
        }
        MultiDataSetIteratorAdapter iterator = new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(batches));
        if (this == COMPUTATION_GRAPH) {
            iterator.setPreProcessor(batch -> batch.setLabels(new INDArray[] {
                batch.getLabels(0), Nd4j.reverse(batch.getLabels(0).dup('c'))
            }));
        } else if (this == SAME_DIFF) {
            iterator.setPreProcessor(batch -> {
                batch.setFeatures(0, batch.getFeatures(0).permute(0, 2, 1).dup('c'));
                batch.setLabels(0, batch.getLabels(0).permute(0, 2, 1).dup('c'));
            });
        }
        return iterator;
    }

    /** Parameters, updater's state and coefficients of a student, in one vector. */
    @SuppressWarnings("unchecked")
    static INDArray everything(Object model) {
        List<INDArray> parts = new ArrayList<>();
        if (model instanceof MultiLayerNetwork network) {
            parts.add(network.params());
            parts.add(network.getUpdater().getStateViewArray());
            parts.add(scalar(RetentionLayers.of(network).coefficientAt(0, 0)));
        } else if (model instanceof ComputationGraph graph) {
            parts.add(graph.params());
            parts.add(graph.getUpdater().getStateViewArray());
            RetentionLayers.of(graph).values().forEach(head -> parts.add(scalar(head.coefficientAt(0, 0))));
        } else if (model instanceof SameDiff sd) {
            sd.variables().stream()
                    .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                    .forEach(variable -> parts.add(variable.getArr()));
            new TreeMap<>(sd.getUpdaterMap()).values().forEach(updater -> new TreeMap<String, INDArray>(
                            updater.getState())
                    .values()
                    .forEach(parts::add));
            parts.add(scalar(SameDiffLossState.of(sd).coefficient()));
        }
        return Nd4j.concat(
                0,
                parts.stream()
                        .map(part -> part.dup('c').reshape(part.length()).castTo(DataType.DOUBLE))
                        .toArray(INDArray[]::new));
    }

    private static INDArray scalar(double value) {
        return Nd4j.createFromArray(value);
    }

    /** The bytes of a checkpoint's entry. */
    static byte[] entry(Path file, String name) throws IOException {
        try (CheckedZip zip = new CheckedZip(file)) {
            return zip.bytes(name);
        }
    }
}
