from setuptools import find_packages, setup

package_name = "synthex_sim"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    package_data={
        package_name: [
            "py.typed", "xray/*.npz", "xray/cuda/*.cu", "xray/cuda/*.cuh", "xray/monte_carlo/*.cu",
            "xray/monte_carlo/*.npz",
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by this `colcon test` knows that pytest runs the tests
    zip_safe=False,
    maintainer="SyntheX ROS maintainers",
    maintainer_email="maintainers@synthex-ros.invalid",
    description="Simulated X-ray images and their labels",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "carm_node = synthex_sim.nodes.carm_node:main",
            "generate_dataset = synthex_sim.dataset.__main__:main",
        ],
    },
)
