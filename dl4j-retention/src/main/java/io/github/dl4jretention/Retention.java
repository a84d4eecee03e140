package io.github.dl4jretention;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Objects;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * The front door: puts retention into a pretrained network, and takes it out again.
 *
 * <pre>{@code
 * Teacher teacher = Teacher.of(pretrained);
 * MultiLayerNetwork student = Retention.attach(pretrained, conf);
 * student.fit(new TeacherIterator(iterator, teacher), epochs);
 * MultiLayerNetwork plain = Retention.detach(student);
 * }</pre>
 */
public final class Retention {

    private Retention() {}

    /**
     * A copy of a pretrained network with a {@link RetentionOutputLayer} in place of its output layer: same weights,
     * updater state, iteration count and training settings. It accepts {@code Teacher.of(pretrained)} as its teacher and
     * no other; the teacher's SHA-256 is saved with it. The pretrained network is left as it is.
     *
     * @param pretrained    a network that ends in softmax cross-entropy, see {@link SoftmaxOutput}
     * @param configuration the loss
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static MultiLayerNetwork attach(MultiLayerNetwork pretrained, RetentionConfiguration configuration) {
        Objects.requireNonNull(pretrained, "pretrained");
        Objects.requireNonNull(configuration, "configuration");
        SoftmaxOutput.require(pretrained);
        MultiLayerConfiguration conf = pretrained.getLayerWiseConfigurations().clone();
        var last = conf.getConf(pretrained.getnLayers() - 1);
        last.setLayer(RetentionOutputLayer.replacing(
                (org.deeplearning4j.nn.conf.layers.BaseOutputLayer) last.getLayer(),
                configuration,
                NetworkIdentity.sha256(pretrained)));
        return copyOf(pretrained, conf, true);
    }

    /**
     * A copy of a student with a stock output layer: same weights, updater state and training settings; it needs no
     * class of this library. The student is left as it is.
     *
     * @param student a network whose last layer is a {@link RetentionOutputLayer}
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static MultiLayerNetwork detach(MultiLayerNetwork student) {
        Objects.requireNonNull(student, "student");
        RetentionOutputLayer head = head(student);
        MultiLayerConfiguration conf = student.getLayerWiseConfigurations().clone();
        conf.getConf(student.getnLayers() - 1).setLayer(head.toStockLayer());
        return copyOf(student, conf, true);
    }

    /**
     * Trains a student near its teacher, for what {@code student.fit(new TeacherIterator(iterator, teacher), epochs)}
     * does, after checking that the teacher is the student's.
     *
     * @throws IllegalArgumentException if the student has no retention layer
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(MultiLayerNetwork student, Teacher teacher, DataSetIterator iterator, int epochs) {
        String expected = head(student).getTeacher();
        if (expected != null && !expected.equals(teacher.sha256())) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), got teacher " + teacher.sha256());
        }
        student.fit(new TeacherIterator(iterator, teacher), epochs);
    }

    /**
     * A copy of a network that starts finetuning afresh: every layer has the given updater, the updater's state is
     * empty, iteration and epoch counts are 0. DL4J's own {@code setLearningRate} passes over SameDiff layers, and an
     * empty Adam state at a high iteration count makes first steps several times too long.
     *
     * @param network left as it is
     * @param updater for weights and biases of all layers
     */
    public static MultiLayerNetwork withUpdater(MultiLayerNetwork network, IUpdater updater) {
        Objects.requireNonNull(updater, "updater");
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations().clone();
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        for (int i = 0; i < network.getnLayers(); i++) {
            setUpdater(conf.getConf(i).getLayer(), updater);
        }
        return copyOf(network, conf, false);
    }

    private static void setUpdater(Layer layer, IUpdater updater) {
        if (layer instanceof BaseWrapperLayer wrapper) {
            setUpdater(wrapper.getUnderlying(), updater);
        } else if (layer instanceof Bidirectional both) {
            setUpdater(both.getFwd(), updater);
            setUpdater(both.getBwd(), updater);
        } else if (layer instanceof BaseLayer base) {
            base.setIUpdater(updater.clone());
            base.setBiasUpdater(null);
        } else if (layer instanceof AbstractSameDiffLayer sameDiff) {
            sameDiff.setUpdater(updater.clone());
            sameDiff.setBiasUpdater(null);
        }
    }

    private static RetentionOutputLayer head(MultiLayerNetwork student) {
        Layer last = student.getLayerWiseConfigurations()
                .getConf(student.getnLayers() - 1)
                .getLayer();
        if (last instanceof RetentionOutputLayer head) {
            return head;
        }
        throw new IllegalArgumentException("student: expected a last layer RetentionOutputLayer, got "
                + last.getClass().getSimpleName() + " \"" + last.getLayerName() + "\"");
    }

    private static MultiLayerNetwork copyOf(
            MultiLayerNetwork source, MultiLayerConfiguration conf, boolean withUpdaterState) {
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(source.params().dup(), false);
        Updater updater = withUpdaterState ? source.getUpdater(false) : null;
        INDArray state = updater == null ? null : updater.getStateViewArray();
        if (state != null) {
            copy.getUpdater().setStateViewArray(copy, state.dup(), false);
        }
        return copy;
    }
}
