package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.databind.ObjectMapper;

class SerializationTest {

    private static final RetentionConfiguration CONF = RetentionConfiguration.builder()
            .divergence(Divergence.REVERSE_KL)
            .coefficient(0.25)
            .temperature(2)
            .build();

    @Test
    void configuration_survives_JSON() throws Exception {
        ObjectMapper mapper = NeuralNetConfiguration.mapper();
        assertEquals(CONF, mapper.readValue(mapper.writeValueAsString(CONF), RetentionConfiguration.class));
    }

    @Test
    void configuration_from_JSON_is_checked() {
        String json = "{\"divergence\":\"FORWARD_KL\",\"coefficient\":-1,\"temperature\":1}";
        Exception refused = assertThrows(
                Exception.class, () -> NeuralNetConfiguration.mapper().readValue(json, RetentionConfiguration.class));
        assertTrue(refused.getMessage().contains("coefficient"), refused.getMessage());
    }

    @Test
    void network_configuration_survives_JSON_and_YAML() {
        MultiLayerConfiguration conf =
                Retention.attach(Networks.lstm(DataType.FLOAT, 1), CONF).getLayerWiseConfigurations();
        assertEquals(conf, MultiLayerConfiguration.fromJson(conf.toJson()));
        assertEquals(conf, MultiLayerConfiguration.fromYaml(conf.toYaml()));
    }

    @Test
    void a_layer_written_into_a_configuration_trains_without_a_teacher() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .updater(new Adam(0.02))
                .seed(3)
                .list()
                .layer(new LSTM.Builder().nOut(7).build())
                .layer(new RetentionOutputLayer.Builder(CONF)
                        .nOut(Networks.VOCABULARY)
                        .build())
                .setInputType(InputType.recurrent(Networks.INPUTS))
                .build());
        network.init();
        DataSet data = Networks.sequences(DataType.FLOAT, 4, 5);
        double before = network.score(data);
        for (int i = 0; i < 30; i++) {
            network.fit(data);
        }
        assertTrue(network.score(data) < 0.9 * before);
        MultiLayerNetwork plain = Retention.detach(network);
        assertClose(network.output(data.getFeatures()), plain.output(data.getFeatures()), 1e-6);
    }
}
