package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The entries of DL4J's model files, which its ModelSerializer reads. */
final class NetworkEntries {

    private NetworkEntries() {}

    /** @param updaterState null for none */
    static Map<String, AtomicFile.Content> of(String configuration, INDArray params, INDArray updaterState) {
        Map<String, AtomicFile.Content> entries = new LinkedHashMap<>();
        entries.put(
                ModelSerializer.CONFIGURATION_JSON, out -> out.write(configuration.getBytes(StandardCharsets.UTF_8)));
        entries.put(ModelSerializer.COEFFICIENTS_BIN, array(params));
        if (updaterState != null && updaterState.length() > 0) {
            entries.put(ModelSerializer.UPDATER_BIN, array(updaterState));
        }
        return entries;
    }

    static AtomicFile.Content array(INDArray array) {
        return out -> {
            DataOutputStream data = new DataOutputStream(out);
            Nd4j.write(array, data);
            data.flush();
        };
    }

    /** A copy of an updater's state; null for none. */
    static INDArray copy(INDArray updaterState) {
        return updaterState == null || updaterState.length() == 0 ? null : updaterState.dup();
    }

    static String configuration(Map<String, byte[]> entries) throws IOException {
        return new String(require(entries, ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
    }

    static INDArray params(Map<String, byte[]> entries) throws IOException {
        return array(require(entries, ModelSerializer.COEFFICIENTS_BIN));
    }

    /** Null if there is none. */
    static INDArray updaterState(Map<String, byte[]> entries) throws IOException {
        byte[] state = entries.get(ModelSerializer.UPDATER_BIN);
        return state == null ? null : array(state);
    }

    static byte[] require(Map<String, byte[]> entries, String name) throws IOException {
        byte[] entry = entries.get(name);
        if (entry == null) {
            throw new IOException("expected an entry " + name + ", got " + entries.keySet());
        }
        return entry;
    }

    static INDArray array(byte[] bytes) throws IOException {
        return Nd4j.read(new DataInputStream(new BufferedInputStream(new ByteArrayInputStream(bytes))));
    }
}
