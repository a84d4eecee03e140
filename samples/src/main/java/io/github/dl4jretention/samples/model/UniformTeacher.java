package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Knows nothing: every token is as likely as any other. A network that learns from scratch has nothing to keep, so with this
 * teacher and a coefficient next to 0 a FinetuningRun pretrains it, and picks up after a kill.
 */
public final class UniformTeacher extends Teacher {

    private final int vocabulary;

    /** @param vocabulary number of token ids */
    public UniformTeacher(int vocabulary) {
        this.vocabulary = vocabulary;
    }

    @Override
    public String sha256() {
        try {
            byte[] name = ("uniform " + vocabulary).getBytes(StandardCharsets.UTF_8);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(name));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    @Override
    public boolean isFrozen() {
        return true;
    }

    @Override
    public List<TeacherOutput> outputs() {
        return List.of(new TeacherOutput("output", 0, 1));
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks) {
        long batch = features[0].size(0);
        long time = features[0].size(features[0].rank() - 1);
        return new INDArray[] {
            Nd4j.create(DataType.FLOAT, batch, vocabulary, time).assign(-Math.log(vocabulary))
        };
    }
}
